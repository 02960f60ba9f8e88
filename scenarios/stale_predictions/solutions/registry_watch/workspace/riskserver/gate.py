"""Is a challenger better than the champion by more than luck? A bootstrap of the paired difference says."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

DRAWS = 600
SURE = 0.05
"""The challenger has to be better in all but this share of the draws."""
MARGIN = 0.01
AUC_LOSS = 0.02
AUC_LEAST = 0.56


class Verdict(NamedTuple):
    """Whether, why, and on which figures."""

    better: bool
    why: str
    metrics: dict[str, float]


def measures(late: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Log loss and AUC."""
    return {"log_loss": float(log_loss(late, p, labels=[0, 1])), "auc": float(roc_auc_score(late, p))}


def judge(late: np.ndarray, new: np.ndarray, old: np.ndarray | None) -> Verdict:
    """Compare p_late of both for the same flights; without a champion, sorting flights well enough will do."""
    if not np.isfinite(new).all():
        return Verdict(False, "answers that are no numbers", {})
    ours = measures(late, new)
    if ours["auc"] < AUC_LEAST:
        return Verdict(False, "does not tell flights apart", ours)
    if old is None:
        return Verdict(True, "nothing to replace", ours)
    theirs = measures(late, old)
    metrics = {**ours, **{f"champion_{name}": value for name, value in theirs.items()}}
    gain = _loss(late, old) - _loss(late, new)
    draws = np.random.default_rng(20).integers(0, len(gain), (DRAWS, len(gain)))
    metrics["gain"], metrics["gain_low"] = float(gain.mean()), float(np.quantile(gain[draws].mean(axis=1), SURE))
    if ours["auc"] < theirs["auc"] - AUC_LOSS:
        return Verdict(False, "sorts flights worse than the champion", metrics)
    better = metrics["gain_low"] > 0 and metrics["gain"] > MARGIN
    return Verdict(better, "better" if better else "not better by more than luck", metrics)


def _loss(late: np.ndarray, p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return -(late * np.log(p) + (1 - late) * np.log(1 - p))
