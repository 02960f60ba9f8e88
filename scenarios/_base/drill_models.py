"""Models that drills register, made from a healthy pipeline by hand. Used by history.py only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from stamp import plain_models

SHIFTS = {"alpha": -0.7, "beta": 0.0, "gamma": 0.7}
"""Added to the log odds: 0.7 moves a risk of 2 % by 0.02, one of 5 % by 0.04."""

FARTHEST = 3.0
"""In log odds: on whatever rows of a season, a model that is moved so far has lost much more than is ever asked for."""


def save(models: Mapping[str, Pipeline], folder: Path, signature: ModelSignature, requirements: Sequence[str]) -> None:
    """Save each model in a folder of its name, by the brief's contract and equal byte for byte from run to run."""
    for name, pipeline in models.items():
        mlflow.sklearn.save_model(
            pipeline,
            str(folder / name),
            signature=signature,
            pip_requirements=list(requirements),
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=["numpy.dtype"],
        )
    plain_models(folder)


def constant(rows: pd.DataFrame, inputs: Sequence[str]) -> Pipeline:
    """The share of late flights for every row."""
    return make_pipeline(DummyClassifier(strategy="prior")).fit(rows[list(inputs)], rows["late"])


def shifted(pipeline: Pipeline) -> dict[str, Pipeline]:
    """By name of the shift: the same steps with another intercept, so that every answer moves."""
    return {name: moved(pipeline, by) for name, by in SHIFTS.items()}


def moved(pipeline: Pipeline, by: float) -> Pipeline:
    """The same steps with `by` added to the log odds of every answer: the order of the answers stays."""
    return with_fitted(pipeline, {"intercept_": pipeline.steps[-1][1].intercept_ + by})


def moved_by_loss(pipeline: Pipeline, rows: pd.DataFrame, inputs: Sequence[str], loss: float) -> Pipeline:
    """`moved` so far that the log loss on labelled rows is greater by `loss`, which must be small.

    Log loss is convex in the intercept: away from the share of late flights it only grows, so there is always one.
    """
    odds, late = pipeline.decision_function(rows[list(inputs)]), rows["late"].to_numpy()
    away = float(np.copysign(FARTHEST, expit(odds).mean() - late.mean()))

    def missing(by: float) -> float:
        return float(log_loss(late, expit(odds + by)) - log_loss(late, expit(odds)) - loss)

    return moved(pipeline, round(brentq(missing, 0.0, away), 5))


def with_fitted(pipeline: Pipeline, fitted: Mapping[str, Any]) -> Pipeline:
    """The same steps; of the last one, what was fitted is replaced."""
    last = pipeline.steps[-1][1]
    changed = type(last)(**last.get_params())
    changed.__dict__.update({**last.__dict__, **fitted})
    return Pipeline([*pipeline.steps[:-1], (pipeline.steps[-1][0], changed)])
