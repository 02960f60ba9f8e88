"""Lives through the story with the workspace's own code: monthly versions, then nights, and each day's answers.

A script of its own, run as `python history.py PLAN.json`; PLAN.json is written by story.py (see `Plan`). The code of a
night is a folder that the plan names: healthy until a fault's onset, with the fault from then on. Everything that the
nights left is natural for that reason: table, quarantine, reports, alerts, the log of answers and the registry.
The registry is filled through a real MLflow server; the story's dates are put into its database afterwards.
"""

# mypy: disable-error-code="import-not-found, import-untyped, no-any-return"
from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from database import empty_database
from server import provider_server, registry_server
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from stamp import milliseconds, plain_models, stamp_registry
from windows import write_prepared, write_windows

MODEL = "flight-delay"
LEFT = ("table", "quarantine", "state")
"""What the nights leave in a workspace."""

MONDAY = 0
DRILLS = "state/monitor/drills.csv"
DRILL_COLUMNS = ["date", "window", "due", "alerts"]
MONITORED = ("delays/monitor.py", "delays/features.py", "config.toml")
"""What decides what the monitor says of a window."""

AT_ONCE = 25
"""Questions of a request: what hangs on those beside it shows in the log."""

RUN_TWICE = 5
"""The night so many days before the business date ran again an hour later: cron was started anew in between."""

TRAIN_DAYS = (67, 8)
SNAPSHOT_ROWS = 5000
SHIFTS = {"alpha": -0.7, "beta": 0.0, "gamma": 0.7}
"""Added to the log odds: 0.7 moves a risk of 5 % by 0.04."""


PLACES = ("healthy", "root", "workspace", "registry", "private", "story", "provider")


@dataclass(frozen=True)
class Plan:
    """PLAN.json.

    today      business date; the last night is that of the day before
    nights     the first night that is lived through here
    kept       the night before which the state is kept in `story`, for layouts that differ from then on; None: not kept
    resumed    whether the state kept in `story` is where this begins
    monthly    nights of versions that were promoted by hand, before the first night
    codes      [(first night, folder)]: the code from a night on; the first entry's goes back for ever
    healthy    the healthy tree
    root       an empty folder to live in (may hold feeds/ older than the workspace's)
    workspace  its feeds/ are delivered; gets what the nights leave, and monitoring/ where it is new
    registry   gets mlflow.db and artifacts/
    private    gets models/ and windows/ where they are new
    story      holds questions.json, nights.json, weather/, and what is kept
    truth      canonical table as parquet, None where monthly versions, models and windows are there
    provider   script of the provider
    seed       of samples
    cache      folder for the empty migrated database, or None
    """

    today: date
    nights: date
    kept: date | None
    resumed: bool
    monthly: tuple[date, ...]
    codes: tuple[tuple[date, Path], ...]
    healthy: Path
    root: Path
    workspace: Path
    registry: Path
    private: Path
    story: Path
    truth: Path | None
    provider: Path
    seed: int
    cache: Path | None

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read the plan. Raises ValueError, KeyError or OSError where it is not one."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        places = {name: Path(raw[name]) for name in PLACES}
        return cls(
            today=date.fromisoformat(raw["today"]),
            nights=date.fromisoformat(raw["nights"]),
            kept=date.fromisoformat(raw["kept"]) if raw["kept"] else None,
            resumed=raw["resumed"],
            monthly=tuple(map(date.fromisoformat, raw["monthly"])),
            codes=tuple((date.fromisoformat(first), Path(folder)) for first, folder in raw["codes"]),
            truth=Path(raw["truth"]) if raw["truth"] else None,
            seed=raw["seed"],
            cache=Path(raw["cache"]) if raw["cache"] else None,
            **places,
        )

    def day(self, before: int) -> date:
        """The day that many days before the business date."""
        return self.today - timedelta(days=before)

    @property
    def clock(self) -> Path:
        """The business date's file."""
        return self.root / "business_date"


class Code:
    """The package `delays` as it is on a night, imported from the folder that the plan names for it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder: Path | None = None

    def turn(self, night: date) -> None:
        """Use the code of a night; config.toml changes with it."""
        folder = [folder for first, folder in self._plan.codes if first <= night or folder is self._plan.codes[0][1]][
            -1
        ]
        if folder == self._folder:
            return
        for name in [name for name in sys.modules if name == "delays" or name.startswith("delays.")]:
            del sys.modules[name]
        if self._folder is not None:
            sys.path.remove(str(self._folder))
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        shutil.copyfile(folder / "config.toml", self._plan.root / "config.toml")
        self._folder = folder

    def module(self, name: str) -> ModuleType:
        """A module of the package."""
        return importlib.import_module(f"delays.{name}")

    def as_healthy(self, paths: Sequence[str]) -> bool:
        """Whether files of the code are the healthy ones."""
        assert self._folder is not None
        return all((self._folder / path).read_bytes() == (self._plan.healthy / path).read_bytes() for path in paths)

    def settings(self) -> Any:
        """Settings for the folder that the story lives in."""
        return self.module("config").load(self._plan.root)


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
            write_private(plan, code, rows)
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


def drill(plan: Plan, code: Code, monday: date) -> None:
    """Put prepared windows to the monitor, and note what it says: state/monitor/drills.csv.

    That takes seconds, so what the same code said in the healthy layout is taken from there.
    """
    path = plan.root / DRILLS
    rows = (
        pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else pd.DataFrame(columns=DRILL_COLUMNS)
    )
    standing = plan.story / "drills.csv"
    if plan.resumed and code.as_healthy(MONITORED):
        said = pd.read_csv(standing, dtype=str, keep_default_na=False)
        said = said[said["date"] == str(monday)]
    else:
        said = _drilled(plan, code, monday)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat([rows, said], ignore_index=True).to_csv(path, index=False, lineterminator="\n")
    if not plan.resumed:
        shutil.copyfile(path, standing)


def _drilled(plan: Plan, code: Code, monday: date) -> pd.DataFrame:
    home, prepared = plan.root / "drill", plan.story / "prepared"
    shutil.rmtree(home, ignore_errors=True)
    (home / "monitoring").mkdir(parents=True)
    shutil.copyfile(plan.root / "config.toml", home / "config.toml")
    shutil.copyfile(plan.workspace / "monitoring" / "snapshot.csv", home / "monitoring" / "snapshot.csv")
    index = json.loads((prepared / "index.json").read_text(encoding="utf-8"))
    monitor = code.module("monitor")
    loaded, words = monitor.load, sys.argv
    monitor.load = lambda: loaded(home)
    sys.argv = ["monitor", *(word for each in index for word in _named(prepared, each))]
    try:
        monitor.main()
    finally:
        monitor.load, sys.argv = loaded, words
    alerts = home / "state" / "alerts.jsonl"
    lines = [json.loads(line) for line in alerts.read_text(encoding="utf-8").splitlines()] if alerts.is_file() else []
    said = {
        each["id"]: "; ".join(f"{line['kind']} {line['subject']}" for line in lines if line["window_id"] == each["id"])
        for each in index
    }
    rows = [(str(monday), each["window"], each["due"], said[each["id"]]) for each in index]
    return pd.DataFrame(rows, columns=DRILL_COLUMNS)


def _named(prepared: Path, entry: Mapping[str, str]) -> tuple[str, str, str, str]:
    return "--window", str(prepared / entry["file"]), "--id", entry["id"]


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


def write_private(plan: Plan, code: Code, rows: pd.DataFrame) -> None:
    """private/models, which drills register by the brief's contract, and the monitor's windows."""
    training, inputs = code.module("training"), list(code.module("features").INPUTS)
    good = training.fit(rows)
    models = {"good": good, "worse": turned_round(good), "constant": constant(rows, inputs)}
    models |= {name: shifted(good, by) for name, by in SHIFTS.items()}
    for name, pipeline in models.items():
        mlflow.sklearn.save_model(
            pipeline,
            str(plan.private / "models" / name),
            signature=training.signature(),
            pip_requirements=training.REQUIREMENTS,
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=["numpy.dtype"],
        )
    plain_models(plan.private / "models")
    about = {"version": "1", "train_to": str(plan.day(TRAIN_DAYS[1])), "today": plan.today, "seed": plan.seed}
    about |= {"inputs": inputs}

    def risk(each: pd.DataFrame) -> Any:
        return good.predict_proba(each[inputs])[:, 1]

    write_windows(plan.private / "windows", rows, risk, about)
    write_prepared(plan.story / "prepared", rows, risk, about)


def constant(rows: pd.DataFrame, inputs: Sequence[str]) -> Pipeline:
    """The share of late flights for every row."""
    return make_pipeline(DummyClassifier(strategy="prior")).fit(rows[inputs], rows["late"])


def shifted(pipeline: Pipeline, by: float) -> Pipeline:
    """The same steps with another intercept, so that every answer moves."""
    return _with(pipeline, {"intercept_": pipeline.steps[-1][1].intercept_ + by})


def turned_round(pipeline: Pipeline) -> Pipeline:
    """The same steps with every coefficient turned round: what made a flight likely to be late makes it unlikely.

    Its log loss is worse by .17 to .57 on every business date of the story, on the holdout and on hidden days.
    """
    return _with(pipeline, {"coef_": -pipeline.steps[-1][1].coef_})


def _with(pipeline: Pipeline, fitted: Mapping[str, Any]) -> Pipeline:
    last = pipeline.steps[-1][1]
    changed = type(last)(**last.get_params())
    changed.__dict__.update({**last.__dict__, **fitted})
    return Pipeline([*pipeline.steps[:-1], (pipeline.steps[-1][0], changed)])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # the servers are ended on the way out
    build(Plan.read(Path(sys.argv[1])))
