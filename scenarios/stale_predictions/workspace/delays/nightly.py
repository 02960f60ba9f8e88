"""The nightly job: lands the feeds, builds the partition, trains, and lets the gate decide."""

import argparse
import json
import sys
import tempfile
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from delays import alerts, gate, registry, training
from delays.config import Settings, load, log
from delays.features import trailing_rates, write_partition
from delays.feeds import DataRefused, read_arrivals, read_weather
from delays.frame import COLUMNS, training_frame

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
    settings = load()
    settings.scratch.mkdir(exist_ok=True)
    return night(settings, args.date, args.challenger)


def night(settings: Settings, day: date, challenger: str | None) -> int:
    """One night: whatever goes wrong is said before it ends."""
    try:
        refused = refusals(settings, day - timedelta(days=1))
        report = run(settings, day, challenger) if not refused else None
    except DataRefused as error:  # too much of the training window cannot be read
        refused, report = [error], None
    except Exception as error:
        alerts.say(settings, "nightly_failed", "nightly", f"the night of {day} failed: {error!r}")
        raise
    for error in refused:
        alerts.say(settings, "source_missing", error.source, str(error))
    if report is None:
        report = _report("refused", None, None, {}, "; ".join(map(str, refused)))
    write_report(settings, day, report)
    log("nightly", date=day, **report)
    return REFUSED if refused else DONE


def refusals(settings: Settings, day: date) -> list[DataRefused]:
    """What is wrong with the feeds of a day."""
    found = []
    for read in (read_arrivals, read_weather):
        try:
            read(settings.root, day)
        except DataRefused as error:
            found.append(error)
    return found


def run(settings: Settings, day: date, challenger: str | None) -> dict[str, Any]:
    """Build the partition of D-1, get the challenger, compare and promote or hold back; returns the report."""
    limits = settings.training
    yesterday, train_to = day - timedelta(days=1), day - timedelta(days=limits["holdout_days"] + 1)
    train_from = train_to - timedelta(days=limits["train_days"] - 1)
    frame = training_frame(settings.root, train_from, yesterday, limits["missing_days_at_most"])
    train, holdout = frame[frame["date"] <= train_to], frame[frame["date"] > train_to]
    write_partition(settings.root, yesterday, trailing_rates(settings.root, yesterday))
    new = registry.version(challenger) if challenger else train_version(train, holdout, day)
    champion = registry.champion()
    if champion is not None and champion.number == new.number:
        return standing_report(settings, day, new.number)
    late = holdout["late"].to_numpy()
    standing = risks(settings, champion, holdout) if champion else None
    decision = gate.decide(late, risks(settings, new, holdout), standing, settings.gate)
    if decision.promote:
        registry.promote(new.number)
    said = "promoted" if decision.promote else "held"
    return _report(said, champion.number if champion else None, new.number, decision.metrics, decision.reason)


def train_version(train: pd.DataFrame, holdout: pd.DataFrame, day: date) -> registry.Version:
    """The version trained on these rows by this code: the one that a run before has made, else a new one."""
    made = registry.find(training.lineage(train, holdout))
    return made or registry.version(training.log_version(training.fit(train), train, holdout, day))


def risks(settings: Settings, version: registry.Version, holdout: pd.DataFrame) -> gate.Numbers:
    """p_late of a registered version for the holdout's flights."""
    with tempfile.TemporaryDirectory(dir=settings.scratch) as folder:
        answers = registry.load(version, folder).predict(holdout[COLUMNS])
    return np.asarray(answers, dtype=float)[:, 1]


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
    path = settings.state / "nightly" / f"{day}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def _report(
    decision: str, champion: str | None, challenger: str | None, metrics: dict[str, float], reason: str
) -> dict[str, Any]:
    return {"decision": decision, "champion": champion, "challenger": challenger, "metrics": metrics, "reason": reason}


if __name__ == "__main__":
    sys.exit(main())
