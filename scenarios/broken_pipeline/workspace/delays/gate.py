"""Decides whether a challenger replaces the champion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from delays.registry import Risks
from mlflow.models import EvaluationResult, MetricThreshold
from mlflow.models.evaluation.validation import ModelValidationFailedException
from sklearn.metrics import log_loss, roc_auc_score


@dataclass(frozen=True)
class Decision:
    """`promote`, why, and the figures behind it."""

    promote: bool
    reason: str
    metrics: dict[str, float]


def decide(holdout: pd.DataFrame, challenger: Risks, champion: Risks | None, limits: Mapping[str, Any]) -> Decision:
    """Compare p_late of both on the holdout (columns date, late).

    The challenger must tell late flights from others (AUC), and its log loss must be lower than the champion's by
    more than `margin` and more than `standard_errors` of the difference. Without a champion the first is enough.
    """
    if not ((challenger >= 0) & (challenger <= 1)).all():
        return Decision(False, "the challenger's answers are not probabilities", {})
    new, standing = scores(holdout, challenger), None if champion is None else scores(holdout, champion)
    metrics = {"flights": float(len(holdout)), **new}
    thresholds = {"auc": MetricThreshold(threshold=limits["auc_at_least"], greater_is_better=True)}
    if champion is not None and standing is not None:
        error = gain_error(holdout, losses(holdout, champion) - losses(holdout, challenger))
        needed = max(limits["margin"], limits["standard_errors"] * error)
        thresholds["log_loss"] = MetricThreshold(min_absolute_change=needed, greater_is_better=False)
        gain = standing["log_loss"] - new["log_loss"]
        metrics |= {"champion_log_loss": standing["log_loss"], "gain": gain, "gain_error": error, "needed": needed}
    try:
        before = None if standing is None else EvaluationResult(standing, {})
        mlflow.validate_evaluation_results(thresholds, EvaluationResult(new, {}), before)
    except ModelValidationFailedException as failed:
        return Decision(False, f"held back: {failed.message}", metrics)
    return Decision(True, "there is no champion" if champion is None else "better by more than luck", metrics)


def scores(holdout: pd.DataFrame, risk: Risks) -> dict[str, float]:
    """Log loss and AUC of answers on a holdout."""
    late = holdout["late"]
    return {"log_loss": float(log_loss(late, risk, labels=[0, 1])), "auc": float(roc_auc_score(late, risk))}


def losses(holdout: pd.DataFrame, risk: Risks) -> Risks:
    """Log loss of each flight; risks are kept 1e-6 away from 0 and 1."""
    safe = np.clip(risk, 1e-6, 1 - 1e-6)
    return -np.where(holdout["late"] == 1, np.log(safe), np.log1p(-safe))


def gain_error(holdout: pd.DataFrame, gains: Risks) -> float:
    """Standard error of the mean gain over the holdout's days: flights of a day share its weather and are not alone."""
    of_day = pd.DataFrame({"date": holdout["date"].to_numpy(), "gain": gains - gains.mean()}).groupby("date")["gain"]
    return float(np.sqrt((of_day.sum() ** 2).sum()) / len(gains))
