"""Builds what the story needs models for: partitions, snapshot, registry history, private models, windows, scores.

A script of its own, run as `python history.py PLAN.json` with the healthy workspace on PYTHONPATH: features, frames,
models and tags have one definition, the workspace's. PLAN.json is written by story.py (see `Plan`).
The registry is filled through a real MLflow server, with artifacts proxied, so that the folder can be served from
anywhere; the dates of the story are put into its database afterwards, for MLflow gives a new version its own time.
"""

# mypy: disable-error-code="import-not-found, import-untyped, no-any-return"
from __future__ import annotations

import json
import signal
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import drill_models
import mlflow
import numpy as np
import pandas as pd
from database import empty_database
from delays import features, feeds, frame, gate, training
from nights import walk
from servers import registry_server
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures
from stamp import stamp_registry
from windows import write_windows

MODEL = "flight-delay"
RATE_WINDOW_DAYS = 14
PARTITION_DAYS = 45
RATES_DAYS = 130
"""Partitions that traces may refer to: the oldest answers are 28 days old, the oldest partition in use 90 more."""

SNAPSHOT_ROWS = 5000
WINTER_DAYS = 38
"""The model `winter` knows the 15th of January to the 8th of February."""

BELOW_MARGIN = 0.005
"""Log loss: half of what a promotion needs (BRIEF.md)."""

FITTED_STEPS = 300
"""Of the solver of `fitted`. On the holdout that it was fitted to, its log loss was lower than that of `good` by .06 to
.08, and than that of boosted trees by as much (measured on the stories of two seeds)."""

MODEL_DAYS = 45
"""A model whose training ended longer ago is stale (BRIEF.md)."""


@dataclass(frozen=True)
class Plan:
    """PLAN.json.

    today      business date
    first      first day with data
    feeds      a root with feeds/ from `first` to `today`, whose flights only the drills' models know
    workspace  gets features/ and monitoring/
    registry   gets mlflow.db and artifacts/
    private    gets models/, windows/ and the traces' tables; holds answers.parquet
    nights     see nights.plan
    seed       of samples
    cache      folder for the empty migrated database, or None
    """

    today: date
    first: date
    feeds: Path
    workspace: Path
    registry: Path
    private: Path
    nights: list[dict[str, Any]]
    seed: int
    cache: Path | None

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read the plan. Raises ValueError, KeyError or OSError where it is not one."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        places = {name: Path(raw[name]) for name in ("feeds", "workspace", "registry", "private")}
        return cls(
            today=date.fromisoformat(raw["today"]),
            first=date.fromisoformat(raw["first"]),
            nights=raw["nights"],
            seed=raw["seed"],
            cache=Path(raw["cache"]) if raw["cache"] else None,
            **places,
        )

    def day(self, before: int) -> date:
        """The day that many days before the business date."""
        return self.today - timedelta(days=before)


def build(plan: Plan) -> None:
    """All steps, in order."""
    write_rates(plan)
    rows = frame.training_frame(plan.feeds, plan.first + timedelta(days=RATE_WINDOW_DAYS), plan.day(1))
    write_snapshot(plan, rows)
    pipelines = write_registry(plan, rows)
    write_models(plan, rows)
    write_scores(plan, pipelines)
    history = json.loads((plan.private / "history.json").read_text(encoding="utf-8"))
    champion = history["champion"]
    train_to = next(v["train_to"] for v in history["versions"] if v["version"] == champion)
    _assert_fresh(plan, train_to)
    write_windows(
        plan.private / "windows",
        between(rows, plan.day(67), plan.day(8)),
        lambda inputs: risk(pipelines[champion], inputs),
        {"version": champion, "train_to": train_to, "today": plan.today, "seed": plan.seed},
    )


def _assert_fresh(plan: Plan, train_to: str) -> None:
    """Raises RuntimeError where the healthy champion is stale itself: then no window with its answers is clean."""
    if date.fromisoformat(train_to) < plan.day(MODEL_DAYS):
        raise RuntimeError(f"the champion was trained up to {train_to}: a monitor must call it stale")


def between(rows: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """The rows of the days `first` to `last`, both included."""
    return rows[(rows["date"] >= first) & (rows["date"] <= last)]


def risk(pipeline: Any, inputs: pd.DataFrame) -> np.ndarray:
    """p_late of each row."""
    return pipeline.predict_proba(inputs[frame.COLUMNS])[:, 1]


def write_rates(plan: Plan) -> None:
    """The delivered partitions, and private/rates.csv with more days of them for the traces."""
    first = max(plan.first, plan.day(RATES_DAYS))
    arrivals = feeds.read_days(feeds.read_arrivals, plan.feeds, first, plan.day(1), missing_at_most=0)
    rates = features.rates_by_day(arrivals).sort_values(["date", "key"], ignore_index=True)
    rates.to_csv(plan.private / "rates.csv", index=False, lineterminator="\n")
    for before in range(PARTITION_DAYS, 0, -1):
        of_day = rates[rates["date"] == plan.day(before)][["key", "late_rate", "flights"]]
        features.write_partition(plan.workspace, plan.day(before), of_day.reset_index(drop=True))


def write_snapshot(plan: Plan, rows: pd.DataFrame) -> None:
    """monitoring/snapshot.csv: rows of the training window's days, in their order."""
    window = between(rows, plan.day(67), plan.day(8))
    sample = window.sample(SNAPSHOT_ROWS, random_state=plan.seed % 2**32).sort_index()
    target = plan.workspace / "monitoring" / "snapshot.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    sample[[*frame.COLUMNS, "late"]].to_csv(target, index=False, lineterminator="\n")


def write_registry(plan: Plan, rows: pd.DataFrame) -> dict[str, Pipeline]:
    """Train and register the version of each night; returns the models by version."""
    plan.registry.mkdir(parents=True, exist_ok=True)
    empty_database(plan.registry / "mlflow.db", plan.cache)
    pipelines: dict[str, Pipeline] = {}
    with registry_server(plan.registry) as address:
        mlflow.set_tracking_uri(address)
        records = [dict(record) for record in _register(plan, rows, pipelines)]
        champion, previous = _aliases(records)
    stamp_registry(plan.registry, {r["version"]: r["date"] for r in records if r["version"]})
    _write_history(plan.private, records, champion, previous)
    return pipelines


def _register(plan: Plan, rows: pd.DataFrame, pipelines: dict[str, Pipeline]) -> Iterator[Mapping[str, Any]]:
    limits = tomllib.loads((plan.workspace / "config.toml").read_text(encoding="utf-8"))["gate"]
    trained = [night for night in plan.nights if not night["refused"]]
    with ThreadPoolExecutor(1) as pool:  # the next night's model is fitted while one is registered
        fits = iter([pool.submit(training.fit, _train(rows, night["date"])) for night in trained])
        for night in plan.nights:
            if night["refused"]:
                yield {**night, "version": None, "decisions": {}}
                continue
            pipeline = next(fits).result()
            train, holdout = _train(rows, night["date"]), _holdout(rows, night["date"])
            version = training.log_version(pipeline, train, holdout, date.fromisoformat(night["date"]))
            pipelines[version] = pipeline
            span = {"train_from": str(train["date"].min()), "train_to": str(train["date"].max())}
            yield {**night, **span, "version": version, "decisions": _decisions(pipelines, version, holdout, limits)}


def _train(rows: pd.DataFrame, night: str) -> pd.DataFrame:
    day = date.fromisoformat(night)
    return between(rows, day - timedelta(days=67), day - timedelta(days=8))


def _holdout(rows: pd.DataFrame, night: str) -> pd.DataFrame:
    day = date.fromisoformat(night)
    return between(rows, day - timedelta(days=7), day - timedelta(days=1))


def _decisions(
    pipelines: Mapping[str, Pipeline], version: str, holdout: pd.DataFrame, limits: Mapping[str, Any]
) -> dict[str, Any]:
    """What the healthy gate says of a night's version against each standing one, and ("") against none."""
    late = holdout["late"].to_numpy()
    risks = {name: risk(pipeline, holdout) for name, pipeline in pipelines.items() if name != version}
    challenger = risk(pipelines[version], holdout)
    made = {name: gate.decide(late, challenger, standing, limits) for name, standing in risks.items()}
    made[""] = gate.decide(late, challenger, None, limits)
    return {name: asdict(decision) for name, decision in made.items()}


def _aliases(records: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
    last = walk(records, {})[-1]
    if last.champion is None:
        raise RuntimeError("no night promoted a version")
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(MODEL, "champion", last.champion)
    if last.previous is not None:
        client.set_registered_model_alias(MODEL, "previous", last.previous)
    return last.champion, last.previous


def _write_history(private: Path, records: Sequence[Mapping[str, Any]], champion: str, previous: str | None) -> None:
    promoted = {o.champion for o in walk(records, {})}
    versions = [
        {
            "version": r["version"],
            "story_date": r["date"],
            "train_from": r["train_from"],
            "train_to": r["train_to"],
            "metric_value": round(r["decisions"][""]["metrics"]["challenger_log_loss"], 6),
            "promoted": r["version"] in promoted,
        }
        for r in records
        if r["version"] is not None
    ]
    content = {"champion": champion, "previous": previous, "versions": versions, "nights": list(records)}
    (private / "history.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_models(plan: Plan, rows: pd.DataFrame) -> None:
    """private/models: what drills register, by the brief's contract.

    `behind` and `fitted` are made for the holdout of the night after the business date, when the gate is drilled:
    `good` gains half of the margin on the first, and nothing honest is as good there as the second.
    """
    good = training.fit(between(rows, plan.day(67), plan.day(8)))
    early = between(rows, plan.first, plan.first + timedelta(days=WINTER_DAYS))
    holdout = frame.training_frame(plan.feeds, plan.day(6), plan.day(0), missing_at_most=0)
    models = {"good": good, "winter": training.fit(early), "constant": drill_models.constant(early, frame.COLUMNS)}
    models["behind"] = drill_models.moved_by_loss(good, holdout, frame.COLUMNS, BELOW_MARGIN)
    models["fitted"] = fitted(good, holdout)
    models |= drill_models.shifted(good)
    drill_models.save(models, plan.private / "models", training.signature(), training.REQUIREMENTS)


def fitted(pipeline: Pipeline, holdout: pd.DataFrame) -> Pipeline:
    """The same preparation, and a regression on products of two columns that was fitted to the holdout itself."""
    products = [("products", PolynomialFeatures(2)), ("weigh", LogisticRegression(C=1.0, max_iter=FITTED_STEPS))]
    weighed = Pipeline(products).fit(pipeline[:-1].transform(holdout[frame.COLUMNS]), holdout["late"])
    return Pipeline([*pipeline.steps[:-1], *weighed.steps])


def write_scores(plan: Plan, pipelines: Mapping[str, Pipeline]) -> None:
    """scores.parquet and slopes.json: the log odds of the logged answers under every version and any partition.

    The model is linear in the two rates, so a version's log odds with both rates 0 (a column each), its slopes, and
    what a missing rate adds are enough. Raises RuntimeError when a model is not linear in them.
    """
    answers = pd.read_parquet(plan.private / "answers.parquet")
    inputs = answers.reindex(columns=frame.COLUMNS).astype(dict.fromkeys(frame.RATES, float))
    odds: dict[str, Any] = {"row_id": answers["row_id"]}
    slopes = {}
    for version, pipeline in pipelines.items():
        odds[version] = pipeline.decision_function(inputs.assign(**dict.fromkeys(frame.RATES, 0.0)))
        slopes[version] = slopes_of(pipeline, inputs.head(1))
    pd.DataFrame(odds).to_parquet(plan.private / "scores.parquet", index=False)
    (plan.private / "slopes.json").write_text(json.dumps(slopes, indent=1) + "\n", encoding="utf-8")


def slopes_of(pipeline: Pipeline, row: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By rate column: what one unit adds to the log odds, and what a missing value adds against 0."""

    def at(**rates: float) -> float:
        return float(pipeline.decision_function(row.assign(**{**dict.fromkeys(frame.RATES, 0.0), **rates}))[0])

    zero = at()
    found = {
        name: {"slope": at(**{name: 1.0}) - zero, "missing": at(**{name: float("nan")}) - zero} for name in frame.RATES
    }
    guess = zero + sum(0.3 * found[name]["slope"] for name in frame.RATES)
    if abs(guess - at(**dict.fromkeys(frame.RATES, 0.3))) > 1e-6:
        raise RuntimeError("the model is not linear in the trailing rates")
    return found


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # the server is ended on the way out
    build(Plan.read(Path(sys.argv[1])))
