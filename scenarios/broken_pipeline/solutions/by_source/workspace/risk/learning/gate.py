"""Who answers from tomorrow on."""

from dataclasses import dataclass, field

import numpy as np

LUCK = 0.003
SIGMAS = 1.5
TINY = 1e-7


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger goes through, in words, and by which figures."""

    promoted: bool
    reason: str
    metrics: dict[str, float] = field(default_factory=dict)


def loss(late: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Log loss by row."""
    p = np.clip(np.asarray(p, dtype=float), TINY, 1 - TINY)
    return -np.log(np.where(late == 1, p, 1 - p))


def verdict(late: np.ndarray, challenger: np.ndarray, champion: np.ndarray | None, base: float) -> Verdict:
    """The challenger's gain over the champion has to be more than LUCK and more than SIGMAS of its standard error.

    Without a champion it has to be better than the share `base` for everybody.
    """
    if not ((challenger >= 0) & (challenger <= 1)).all():
        return Verdict(False, "the challenger gives answers that are no probabilities")
    new, constant = loss(late, challenger), loss(late, np.full(len(late), base))
    metrics = {"log_loss": float(new.mean()), "baseline_log_loss": float(constant.mean())}
    if len(np.unique(challenger.round(6))) < 2:
        return Verdict(False, "the challenger gives everybody the same risk", metrics)
    if champion is None:
        better = new.mean() < constant.mean()
        return Verdict(bool(better), "first champion" if better else "no better than one risk for everybody", metrics)
    old = loss(late, champion)
    gain = old - new
    error = gain.std() / np.sqrt(len(gain))
    metrics |= {"champion_log_loss": float(old.mean()), "gain": float(gain.mean()), "standard_error": float(error)}
    if gain.mean() > LUCK and gain.mean() > SIGMAS * error:
        return Verdict(True, f"log loss is {gain.mean():.4f} lower than the champion's", metrics)
    return Verdict(False, f"a gain of {gain.mean():.4f} (standard error {error:.4f}) may be luck", metrics)
