"""bin/nightly and bin/train."""

import argparse
import fcntl
import json
import sys
from datetime import date, timedelta
from typing import Any

from risk.answering import journal
from risk.answering.forecasts import Forecasts
from risk.answering.known import answered, known
from risk.base import ROOT, STATE, alert, write
from risk.landing import sources
from risk.learning import fit, gate, versions


def main() -> int:
    """nightly: 0 done, 2 nothing acceptable for D-1, 3 another one is running. train: 0."""
    parser = argparse.ArgumentParser()
    jobs = parser.add_subparsers(dest="job", required=True)
    nightly = jobs.add_parser("nightly")
    nightly.add_argument("--date", type=date.fromisoformat, required=True)
    nightly.add_argument("--challenger")
    jobs.add_parser("train").add_argument("--as-of", type=date.fromisoformat, required=True)
    args = parser.parse_args()
    return _train(args.as_of) if args.job == "train" else _locked(args.date, args.challenger)


def _train(today: date) -> int:
    made = fit.version(fit.material(today))
    print(json.dumps({"version": str(made.version), "run_id": made.run_id}), flush=True)
    return 0


def _locked(today: date, challenger: str | None) -> int:
    (ROOT / "var").mkdir(exist_ok=True)
    with (ROOT / "var" / "night").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 3
        try:
            return nightly_run(today, challenger)
        except Exception as error:
            alert("nightly_failed", "nightly", f"{today}: {error!r}")
            raise


def nightly_run(today: date, challenger: str | None) -> int:
    """Land, judge, correct, report."""
    landed = sources.land(today)
    standing = versions.under("champion")
    report: dict[str, Any] = {
        "decision": "refused",
        "champion": str(standing.version) if standing else None,
        "challenger": None,
        "metrics": {},
        "reason": f"nothing acceptable was delivered for {today - timedelta(1)}",
        "quarantined": landed.refused,
    }
    if landed.accepted:
        report |= _judged(today, challenger, standing)
    _correct(today)
    write(STATE / "nightly" / f"{today}.json", json.dumps(report, indent=2))
    print(json.dumps(report), flush=True)
    return 0 if landed.accepted else 2


def _judged(today: date, given: str | None, standing: Any) -> dict[str, Any]:
    material = fit.material(today)
    entry = versions.numbered(given) if given else fit.version(material)
    if standing is not None and str(standing.version) == str(entry.version):
        return {"decision": "held", "challenger": str(entry.version), "reason": "the champion is its own challenger"}
    holdout = material.holdout
    new, old = (versions.Loaded(each).risks(holdout) if each else None for each in (entry, standing))
    found = gate.verdict(holdout["late"].to_numpy(), new, old, material.train["late"].mean())
    if found.promoted:
        versions.promote(str(entry.version))
    decision = "promoted" if found.promoted else "held"
    return {"decision": decision, "challenger": str(entry.version), "metrics": found.metrics, "reason": found.reason}


def _correct(today: date) -> None:
    champion, about = versions.under("champion"), known(today)
    rows = journal.affected(today, about) if champion else []
    if rows:
        journal.write(today, rows, answered(rows, about, Forecasts(today), versions.Loaded(champion)))


if __name__ == "__main__":
    sys.exit(main())
