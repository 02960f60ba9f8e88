"""Is the challenger better than the champion by more than luck? Days are what luck deals, so days are drawn anew."""

from typing import NamedTuple

import numpy as np

MARGIN = 0.003
DRAWS = 4000
SURE = 0.10
"""Share of drawn weeks in which a challenger that is let through may be no better."""
FLAT = 1e-6


class Verdict(NamedTuple):
    """Whether it is better, why, and on which figures."""

    better: bool
    why: str
    metrics: dict[str, float]


def losses(late: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Log loss of each answer."""
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return -(late * np.log(p) + (1 - late) * np.log(1 - p))


def log_loss(late: np.ndarray, p: np.ndarray) -> float:
    """Mean log loss."""
    return float(losses(late, p).mean())


def judge(days: np.ndarray, late: np.ndarray, new: np.ndarray, old: np.ndarray | None, share: float) -> Verdict:
    """Compare p_late of both for the same flights of `days`; `share` is what answers without a model would say."""
    base = losses(late, np.full(len(late), share))
    if not np.isfinite(new).all() or new.min() < 0 or new.max() > 1:
        return Verdict(False, "its answers are no risks", {})
    metrics = {"log_loss": log_loss(late, new), "baseline_log_loss": float(base.mean())}
    if np.ptp(new) < FLAT:
        return Verdict(False, "it says the same of every flight", metrics)
    if old is not None:
        metrics["champion_log_loss"] = log_loss(late, old)
    gain = (base if old is None else losses(late, old)) - losses(late, new)
    metrics |= {"gain": float(gain.mean()), "gain_low": _low(days, gain)}
    enough = metrics["gain"] > MARGIN and metrics["gain_low"] > 0
    better, than = (enough, "the champion") if old is not None else (metrics["gain"] > 0, "no model")
    return Verdict(better, f"{'better' if better else 'not better by more than luck'} than {than}", metrics)


def _low(days: np.ndarray, gain: np.ndarray) -> float:
    """The gain that weeks of days drawn from these keep above, but for a share of SURE."""
    _, block = np.unique(days, return_inverse=True)
    sums, counts = np.bincount(block, gain), np.bincount(block)
    drawn = np.random.default_rng(7).integers(0, len(sums), (DRAWS, len(sums)))
    return float(np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), SURE))
