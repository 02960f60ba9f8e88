"""Lives through the story with the workspace's own code: monthly versions, then nights, and each day's answers.

A script of its own, run as `python history.py PLAN.json`; PLAN.json is written by story.py (see plan.py). The code of a
night is a folder that the plan names: healthy until a fault's onset, with the fault from then on. Everything that the
nights left is natural for that reason: table, quarantine, reports, alerts, the log of answers and the registry.
The registry is filled through a real MLflow server; the story's dates are put into its database afterwards.
"""

# mypy: disable-error-code="import-not-found, import-untyped, no-any-return"
from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from datetime import date
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from database import empty_database
from models import write_private
from mondays import MONDAY, drill
from plan import TRAIN_DAYS, Code, Plan
from servers import provider_server, registry_server
from stamp import milliseconds, stamp_registry

LEFT = ("table", "quarantine", "state")
"""What the nights leave in a workspace."""

AT_ONCE = 25
"""Questions of a request: what hangs on those beside it shows in the log."""

RUN_TWICE = 5
"""The night so many days before the business date ran again an hour later: cron was started anew in between."""

SNAPSHOT_ROWS = 5000


# --- all of it --------------------------------------------------------------------------------------------------------


def build(plan: Plan) -> None:
    """All steps, in order."""
    dates = begin(plan)
    code = Code(plan)
    with ExitStack() as stack:
        os.environ["MLFLOW_TRACKING_URI"] = stack.enter_context(registry_server(plan.registry))
        os.environ["PROVIDER_URL"] = stack.enter_context(provider_server(plan.provider, plan.story, plan.clock))
        os.environ["BUSINESS_DATE_FILE"] = str(plan.clock)
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        if plan.truth is not None:
            code.turn(plan.monthly[0])
            truth = pd.read_parquet(plan.truth)
            by_hand(plan, code, truth, dates)
            rows = write_snapshot(plan, code, truth)
            write_private(plan, code, rows, truth)
            land_older(plan, code)
        for before in range((plan.today - plan.nights).days, 0, -1):
            if plan.day(before) == plan.kept:
                keep(plan, dates)
            live(plan, code, plan.day(before), again=before == RUN_TWICE)
            note_versions(plan.registry, dates, plan.day(before))
    hand_over(plan)
    stamp_registry(plan.registry, dates)


def begin(plan: Plan) -> dict[str, str]:
    """The folder that the story lives in, and the registry, as they are before the first night.

    Returns the story's day of each version that is there.
    """
    later = {name for names in deliveries_by_night(plan).values() for name in names}
    for path in sorted((plan.workspace / "feeds").rglob("*")):
        name = path.relative_to(plan.workspace / "feeds").as_posix()
        if path.is_file() and name not in later:
            deliver(plan, name)
    plan.registry.mkdir(parents=True, exist_ok=True)
    if not plan.resumed:
        for name in LEFT:
            (plan.root / name).mkdir()
        empty_database(plan.registry / "mlflow.db", plan.cache)
        return {}
    kept = plan.story / "kept"
    for name in LEFT:
        shutil.copytree(kept / name, plan.root / name)
    shutil.rmtree(plan.registry)
    shutil.copytree(kept / "registry", plan.registry)
    for night, names in deliveries_by_night(plan).items():
        for name in names if night < plan.nights else ():
            deliver(plan, name)
    return dict(json.loads((kept / "dates.json").read_text(encoding="utf-8")))


def deliveries_by_night(plan: Plan) -> dict[date, list[str]]:
    """Paths below feeds/ by the night that finds them, for the story's nights; all others are older."""
    raw = json.loads((plan.story / "nights.json").read_text(encoding="utf-8"))
    return {date.fromisoformat(night): names for night, names in raw.items()}


def deliver(plan: Plan, name: str) -> None:
    """Put one delivered file where the story lives."""
    target = plan.root / "feeds" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(plan.workspace / "feeds" / name, target)


def keep(plan: Plan, dates: Mapping[str, str]) -> None:
    """Keep the state as it is before a night. The server is idle, so its database is whole."""
    for name in LEFT:
        shutil.copytree(plan.root / name, plan.story / "kept" / name)
    target = plan.story / "kept" / "registry"
    target.mkdir()
    with (
        closing(sqlite3.connect(f"file:{plan.registry / 'mlflow.db'}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(target / "mlflow.db")) as new,
    ):
        old.backup(new)
    shutil.copytree(plan.registry / "artifacts", target / "artifacts")
    (plan.story / "kept" / "dates.json").write_text(json.dumps(dates, indent=1) + "\n", encoding="utf-8")


def note_versions(registry: Path, dates: dict[str, str], night: date) -> None:
    """Enter the versions that a night has made under its day."""
    with closing(sqlite3.connect(f"file:{registry / 'mlflow.db'}?mode=ro", uri=True)) as connection:
        for (version,) in connection.execute("select version from model_versions"):
            dates.setdefault(str(version), str(night))


def hand_over(plan: Plan) -> None:
    """Put what the nights left into the workspace."""
    for name in LEFT:
        shutil.rmtree(plan.workspace / name, ignore_errors=True)
        shutil.copytree(plan.root / name, plan.workspace / name)


# --- a night and its day ----------------------------------------------------------------------------------------------


def live(plan: Plan, code: Code, night: date, again: bool) -> None:
    """One night, or two runs of it, and the answers of the day after it, with that night's code."""
    code.turn(night)
    plan.clock.write_text(f"{night}\n", encoding="utf-8")
    for name in deliveries_by_night(plan).get(night, []):
        deliver(plan, name)
    seed = f"{plan.seed}/{night}"
    random.seed(seed)
    np.random.seed(random.getrandbits(32))  # what draws without a seed of its own draws from these
    with (plan.root / "state" / "cron.log").open("a", encoding="utf-8") as log:
        for hours in range(2 if again else 1):
            with stopped_clock(night, hours):
                log.write(f"{night} bin/nightly --date {night}: {run_night(code, night)}\n")
    with stopped_clock(night):
        answer(plan, code, night)
        with suppress(Exception):  # the monitor looks again later, and says nothing until it can
            code.module("monitor").daily(code.settings(), night)
        if night.weekday() == MONDAY:
            drill(plan, code, night)


class stopped_clock:  # noqa: N801 - reads as a statement
    """time.time() stands at the night's instant, or some hours after it: what is made from it is the same each time."""

    def __init__(self, night: date, hours: int = 0) -> None:
        self._now = milliseconds(str(night)) / 1000 + 3600 * hours

    def __enter__(self) -> None:
        self._real, time.time = time.time, lambda: self._now

    def __exit__(self, *_: object) -> None:
        time.time = self._real


def run_night(code: Code, night: date) -> str:
    """Run a night as cron would, and say how it ended."""
    try:
        return f"exit {code.module('nightly').night(code.settings(), night)}"
    except Exception as error:  # noqa: BLE001 - a crash is a part of the story
        return f"exit 1 ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"


def answer(plan: Plan, code: Code, day: date) -> None:
    """Ask what passengers ask on a day, some questions at a time, and log the answers."""
    answers, registry, settings = code.module("answers"), code.module("registry"), code.settings()
    rows = json.loads((plan.story / "questions.json").read_text(encoding="utf-8"))[str(day)]
    model = registry.load(registry.champion(), settings.scratch)
    known = code.module("features").known(code.module("ingest").read(settings)[0], day)
    for first in range(0, len(rows), AT_ONCE):
        asked = rows[first : first + AT_ONCE]
        answers.append(settings, asked, answers.answer_rows(settings, asked, model, day, known), day)


# --- what was there before the nights, and what drills need ----------------------------------------------------------


def by_hand(plan: Plan, code: Code, truth: pd.DataFrame, dates: dict[str, str]) -> None:
    """The monthly versions, promoted by hand."""
    training, registry = code.module("training"), code.module("registry")
    for night in plan.monthly:
        with stopped_clock(night):
            table = truth[truth["date"] < str(night)].reset_index(drop=True)
            registry.promote(training.train(code.settings(), table, night).number)
        note_versions(plan.registry, dates, night)


def land_older(plan: Plan, code: Code) -> None:
    """Land what was delivered before the first night, which would take that night several seconds more.

    None of it is refused, so it is not held against the rules again.
    """
    contract = code.module("contract")
    check, contract.check = contract.check, lambda _: None
    try:
        code.module("ingest").land(code.settings(), plan.nights)
    finally:
        contract.check = check


def write_snapshot(plan: Plan, code: Code, truth: pd.DataFrame) -> pd.DataFrame:
    """monitoring/snapshot.csv: rows of the training days, in their order; returns all rows of these days."""
    features = code.module("features")
    rows = features.training_frame(truth, plan.day(TRAIN_DAYS[0]), plan.day(TRAIN_DAYS[1]))
    sample = rows.sample(SNAPSHOT_ROWS, random_state=plan.seed % 2**32).sort_index()
    target = plan.workspace / "monitoring" / "snapshot.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    sample[[*features.INPUTS, "late"]].to_csv(target, index=False, lineterminator="\n")
    return rows


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # the servers are ended on the way out
    build(Plan.read(Path(sys.argv[1])))
