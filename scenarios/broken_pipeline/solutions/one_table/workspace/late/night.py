"""bin/nightly: land, train, compare, promote or hold back, correct, report."""

import argparse
import sys
from datetime import date
from typing import Any

from late import answers, gate, inputs, models, table
from late.places import DAY, STATE, alert, only_one, put_json, say

DONE, REFUSED, RUNNING = 0, 2, 3


def main() -> int:
    """The exit code is what the brief says; anything unforeseen is an alert and a crash."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--challenger")
    args = parser.parse_args()
    with only_one("nightly") as free:
        if not free:
            return RUNNING
        try:
            return night(args.date, args.challenger)
        except Exception as error:
            alert("nightly_failed", "nightly", repr(error))
            raise


def night(today: date, given: str | None) -> int:
    """One night; returns the exit code."""
    landed = table.rebuild(today)
    standing = models.champion()
    report: dict[str, Any] = {
        "decision": "refused",
        "champion": standing.version if standing else None,
        "challenger": None,
        "metrics": {},
        "reason": f"no delivery for {today - DAY} could be accepted",
        "quarantined": sorted(landed.refused),
    }
    if landed.accepted:
        report |= _compared(today, given, standing)
    report["corrected"] = _corrected(today)
    put_json(STATE / "nightly" / f"{today}.json", report)
    say("night", date=today, **report)
    return DONE if landed.accepted else REFUSED


def _compared(today: date, given: str | None, standing: models.Version | None) -> dict[str, Any]:
    found = models.data(today)
    challenger = models.named(given) if given else models.trained(found)
    report = {"challenger": challenger.version}
    if standing is not None and challenger.version == standing.version:
        return {**report, "decision": "held", "reason": "it is the champion already"}
    rows, late = found.holdout, found.holdout["late"].to_numpy()
    new = models.Model(challenger).risks(rows)
    old = models.Model(standing).risks(rows) if standing else None
    verdict = gate.judge(rows["date"].to_numpy(), late, new, old, found.training["late"].mean())
    if verdict.better:
        models.promote(challenger.version)
    decision = "promoted" if verdict.better else "held"
    return {**report, "decision": decision, "metrics": verdict.metrics, "reason": verdict.why}


def _corrected(today: date) -> int:
    entry = models.champion()
    if entry is None:
        return 0
    world = answers.World(inputs.book(today), models.Model(entry), inputs.Forecasts())
    return answers.correct(today, world)


if __name__ == "__main__":
    sys.exit(main())
