"""Decides whether a challenger replaces the champion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """`promote`, why, and the figures behind it (log losses, AUC, the difference and its standard error)."""

    promote: bool
    reason: str
    metrics: dict[str, float]


def decide(late: Numbers, challenger: Numbers, champion: Numbers | None, limits: Mapping[str, Any]) -> Decision:
    """Compare p_late of both on the same flights.

    The challenger is promoted when it tells late flights from punctual ones (AUC) and its log loss is lower by more
    than `margin` and by more than `standard_errors` of the paired difference. Without a champion the first is enough.
    """
    if not np.isfinite(challenger).all() or challenger.min() < 0 or challenger.max() > 1:
        return Decision(False, "the challenger's answers are not probabilities", {})
    auc = float(roc_auc_score(late, challenger))
    metrics = {"flights": float(len(late)), "challenger_log_loss": float(losses(late, challenger).mean()), "auc": auc}
    if auc < limits["auc_at_least"]:
        return Decision(False, f"the challenger does not discriminate (AUC {auc:.3f})", metrics)
    if champion is None:
        return Decision(True, "there is no champion", metrics)
    gains = losses(late, champion) - losses(late, challenger)
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    metrics |= {"champion_log_loss": float(losses(late, champion).mean()), "gain": gain, "gain_standard_error": error}
    needed = max(limits["margin"], limits["standard_errors"] * error)
    said = f"log loss lower by {gain:.4f}, more than {needed:.4f} was needed"
    return Decision(gain > needed, said if gain > needed else f"not better by more than luck: {said}", metrics)


def losses(late: Numbers, risk: Numbers) -> Numbers:
    """Log loss of each flight; risks are kept 1e-6 away from 0 and 1."""
    safe = np.clip(risk, 1e-6, 1 - 1e-6)
    return -np.where(late == 1, np.log(safe), np.log1p(-safe))
