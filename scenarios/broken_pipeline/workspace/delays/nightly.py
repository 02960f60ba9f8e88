"""The nightly job: lands what was delivered, trains, lets the gate decide, and corrects answers."""

import argparse
import json
import shutil
import sys
from datetime import date, timedelta
from typing import Any

import pandas as pd
from delays import answers, gate, ingest, registry, training
from delays.config import Settings, alert, load, log, replace
from delays.features import INPUTS

DONE, REFUSED, MISUSED = 0, 2, 64


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
        landed = ingest.land(settings, day)
        arrived = (landed.table["date"] == str(day - timedelta(days=1))).any()
        report = decide(settings, landed.table, day, challenger) if arrived else _report("refused")
        if not arrived:
            report["reason"] = f"nothing was delivered for {day - timedelta(days=1)} that could be accepted"
        answers.correct(settings, landed.table, day)
    except Exception as error:
        alert(settings, "nightly_failed", "nightly", f"the night of {day} failed: {error!r}", day)
        raise
    finally:
        shutil.rmtree(settings.scratch / "nightly", ignore_errors=True)
    write_report(settings, day, {**report, "quarantined": landed.quarantined})
    return DONE if arrived else REFUSED


def decide(settings: Settings, table: pd.DataFrame, day: date, challenger: str | None) -> dict[str, Any]:
    """Get the challenger, compare it with the champion on the holdout, promote it or hold it back."""
    new = registry.version(challenger) if challenger else training.train(settings, table, day)
    champion = registry.champion()
    if champion is not None and champion.number == new.number:
        return standing_report(settings, day, new.number)
    _, holdout = training.split(settings, table, day)
    folder = settings.scratch / "nightly"
    standing = registry.load(champion, folder).risks(holdout[INPUTS]) if champion else None
    decision = gate.decide(holdout, registry.load(new, folder).risks(holdout[INPUTS]), standing, settings.gate)
    if decision.promote:
        registry.promote(new.number)
    said = "promoted" if decision.promote else "held"
    return _report(said, champion.number if champion else None, new.number, decision.metrics, decision.reason)


def standing_report(settings: Settings, day: date, challenger: str) -> dict[str, Any]:
    """The report where the challenger already is the champion: the one that promoted it stands."""
    try:
        before = json.loads((settings.state / "nightly" / f"{day}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    if before.get("decision") == "promoted" and before.get("challenger") == challenger:
        return dict(before)
    return _report("held", challenger, challenger, {}, "the challenger is the champion already")


def write_report(settings: Settings, day: date, report: dict[str, Any]) -> None:
    """Write state/nightly/<D>.json in one piece."""
    replace(settings.state / "nightly" / f"{day}.json", json.dumps(report, indent=1).encode() + b"\n")
    log("nightly", date=day, **report)


def _report(
    decision: str,
    champion: str | None = None,
    challenger: str | None = None,
    metrics: dict[str, float] | None = None,
    reason: str = "",
) -> dict[str, Any]:
    return {
        "decision": decision,
        "champion": champion,
        "challenger": challenger,
        "metrics": metrics or {},
        "reason": reason,
    }


if __name__ == "__main__":
    sys.exit(main())
