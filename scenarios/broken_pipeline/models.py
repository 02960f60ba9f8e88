"""The models that drills register, and the monitor's windows. Used by history.py only."""

# mypy: disable-error-code="import-not-found, import-untyped, no-any-return"
from __future__ import annotations

from typing import Any

import drill_models
import pandas as pd
from plan import TRAIN_DAYS, Code, Plan
from sklearn.pipeline import Pipeline
from windows import write_prepared, write_windows

HOLDOUT_DAYS = (7, 1)
"""Days before the business date: what is held out, first and last."""

TOO_HIGH = 8.0
"""Added to the log odds: a risk of 10 % becomes one of 99.7 %.

It ranks flights as `good` does, and its log loss is worse by 4.3 and more on the holdout, 12 standard errors over the
days (measured on the stories of five seeds; 3 in place of 8 makes 0.55 and 4.8)."""

BELOW_MARGIN = 0.0015
"""Log loss: half of what a promotion needs (BRIEF.md)."""


def write_private(plan: Plan, code: Code, rows: pd.DataFrame, truth: pd.DataFrame) -> None:
    """private/models, which drills register by the brief's contract, and the monitor's windows.

    `rows` are those of the training days, `truth` the canonical table up to the day before the business date.
    """
    training, features = code.module("training"), code.module("features")
    inputs = list(features.INPUTS)
    good = training.fit(rows)
    holdout = features.training_frame(truth, *(plan.day(before) for before in HOLDOUT_DAYS))
    models = {"good": good, "worse": turned_round(good), "constant": drill_models.constant(rows, inputs)}
    models["too_high"] = drill_models.moved(good, TOO_HIGH)
    models["nearly_good"] = drill_models.moved_by_loss(good, holdout, inputs, BELOW_MARGIN)
    models |= drill_models.shifted(good)
    drill_models.save(models, plan.private / "models", training.signature(), training.REQUIREMENTS)
    about = {"version": "1", "train_to": str(plan.day(TRAIN_DAYS[1])), "today": plan.today, "seed": plan.seed}
    about |= {"inputs": inputs}

    def risk(each: pd.DataFrame) -> Any:
        return good.predict_proba(each[inputs])[:, 1]

    write_windows(plan.private / "windows", rows, risk, about)
    write_prepared(plan.story / "prepared", rows, risk, about)


def turned_round(pipeline: Pipeline) -> Pipeline:
    """The same steps with every coefficient turned round: what made a flight likely to be late makes it unlikely.

    Its log loss is worse by .17 to .57 on every business date of the story, on the holdout and on hidden days.
    """
    return drill_models.with_fitted(pipeline, {"coef_": -pipeline.steps[-1][1].coef_})
