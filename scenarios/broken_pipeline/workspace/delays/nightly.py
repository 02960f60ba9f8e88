"""The nightly job: lands what was delivered, trains, lets the gate decide, and corrects answers."""

import argparse
import json
import shutil
import sys
from datetime import date, timedelta
from typing import Any

import pandas as pd
from delays import answers, gate, ingest, registry, training
from delays.config import Settings, alert, load, log, write
from delays.features import INPUTS

DONE, REFUSED, MISUSED = 0, 2, 64
REFUSAL: dict[str, Any] = {"decision": "refused", "champion": None, "challenger": None, "metrics": {}}


def main() -> int:
    """Run the night of --date; returns the exit code. bin/nightly holds the lock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--date", type=date.fromisoformat, required=True, help="the business date D")
    parser.add_argument("--challenger", help="a registered version to put to the gate instead of training one")
    try:
        args = parser.parse_args()
    except SystemExit as stop:  # argparse ends with 2, which means refused data here
        return MISUSED if stop.code else DONE
    return night(load(), args.date, args.challenger)


def night(settings: Settings, day: date, challenger: str | None = None) -> int:
    """One night; whatever goes wrong is said before it ends."""
    try:
        table, yesterday = ingest.land(settings, day), day - timedelta(days=1)
        arrived = (table["date"] == str(yesterday)).any()
        report = {"reason": f"nothing was delivered for {yesterday} that could be accepted"}
        if arrived:
            report = decide(settings, table, day, challenger)
        answers.correct(settings, table, day)
    except Exception as error:
        alert(settings, "nightly_failed", "nightly", f"the night of {day} failed: {error!r}", day)
        raise
    finally:
        shutil.rmtree(settings.scratch / "nightly", ignore_errors=True)
    report = {**REFUSAL, **report, "quarantined": ingest.quarantined(settings, yesterday)}
    write(settings.state / "nightly" / f"{day}.json", report)
    log("nightly", date=day, **report)
    return DONE if arrived else REFUSED


def decide(settings: Settings, table: pd.DataFrame, day: date, challenger: str | None) -> dict[str, Any]:
    """Get the challenger, compare it with the champion on the holdout, promote it or hold it back."""
    new = registry.version(challenger) if challenger else training.train(settings, table, day)
    champion, folder = registry.champion(), settings.scratch / "nightly"
    report = {"champion": champion and champion.number, "challenger": new.number}
    if champion is not None and champion.number == new.number:
        return standing(settings, day, new.number) or {
            **report,
            "decision": "held",
            "reason": "the challenger is the champion already",
        }
    _, holdout = training.split(settings, table, day)
    before = registry.load(champion, folder).risks(holdout[INPUTS]) if champion else None
    decision = gate.decide(holdout, registry.load(new, folder).risks(holdout[INPUTS]), before, settings.gate)
    if decision.promote:
        registry.promote(new.number)
    said = "promoted" if decision.promote else "held"
    return {**report, "decision": said, "metrics": decision.metrics, "reason": decision.reason}


def standing(settings: Settings, day: date, challenger: str) -> dict[str, Any]:
    """The report of the run that promoted this challenger on the same day, empty where there was none."""
    path = settings.state / "nightly" / f"{day}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return before if (before.get("decision"), before.get("challenger")) == ("promoted", challenger) else {}


if __name__ == "__main__":
    sys.exit(main())
