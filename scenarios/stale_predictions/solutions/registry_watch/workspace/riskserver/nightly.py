"""The nightly: partition, challenger, gate, aliases, report."""

import argparse
import fcntl
import json
import sys
from datetime import date, timedelta
from typing import Any

from mlflow import MlflowClient
from riskserver import gate, inputs, models
from riskserver.places import MODEL, SCRATCH, STATE, alert

TRAIN, HOLDOUT = timedelta(days=60), timedelta(days=7)
DAY = inputs.DAY


def main() -> int:
    """0 done, 2 data refused, 3 another one is running."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--date", type=date.fromisoformat, required=True)
    parser.add_argument("--challenger")
    args = parser.parse_args()
    SCRATCH.mkdir(exist_ok=True)
    with (SCRATCH / "nightly.pid").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 3
        return _night(args.date, args.challenger)


def _night(day: date, challenger: str | None) -> int:
    report: dict[str, Any] = {"decision": "refused", "champion": None, "challenger": None, "metrics": {}}
    code = 0
    try:
        _refuse(day - DAY)
        report |= _run(day, challenger)
    except inputs.FeedRefusedError as error:
        alert("source_missing", error.source, str(error))
        report["reason"], code = str(error), 2
    except Exception as error:
        alert("nightly_failed", "nightly", repr(error))
        raise
    path = STATE / "nightly" / f"{day}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(json.dumps(report), flush=True)
    return code


def _refuse(day: date) -> None:
    for source in ("arrivals", "weather"):
        inputs.feed(source, day)


def _run(day: date, given: str | None) -> dict[str, Any]:
    train_to = day - HOLDOUT - DAY
    frame = inputs.labelled(train_to - TRAIN + DAY, day - DAY)
    old, holdout = frame[frame["date"] <= train_to], frame[frame["date"] > train_to]
    inputs.save_partition(day - DAY)
    champion = models.alias()
    standing = str(champion.version) if champion else None
    new = str(MlflowClient().get_model_version(MODEL, given).version) if given else _trained(old, holdout)
    names = {"champion": standing, "challenger": new}
    if new == standing:
        return {**names, "decision": "held", "metrics": {}, "reason": "is the champion already"}
    late = holdout["late"].to_numpy()
    before = models.risks(models.load(standing), holdout) if standing else None
    verdict = gate.judge(late, models.risks(models.load(new), holdout), before)
    if verdict.better:
        models.promote(new)
    decision = "promoted" if verdict.better else "held"
    return {**names, "decision": decision, "metrics": verdict.metrics, "reason": verdict.why}


def _trained(old: Any, holdout: Any) -> str:
    pipeline = models.train(old)
    p = pipeline.predict_proba(holdout[list(inputs.INPUTS)])[:, 1]
    return models.register(pipeline, old, holdout, gate.measures(holdout["late"].to_numpy(), p))


if __name__ == "__main__":
    sys.exit(main())
