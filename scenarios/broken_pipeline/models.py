"""The models that drills register, and the monitor's windows. Used by history.py only."""

# mypy: disable-error-code="import-not-found, import-untyped, no-any-return"
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mlflow
import pandas as pd
from plan import TRAIN_DAYS, Code, Plan
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from stamp import plain_models
from windows import write_prepared, write_windows

SHIFTS = {"alpha": -0.7, "beta": 0.0, "gamma": 0.7}
"""Added to the log odds: 0.7 moves a risk of 5 % by 0.04."""


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
