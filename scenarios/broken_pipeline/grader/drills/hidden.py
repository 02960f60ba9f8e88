"""What a trained version does on the hidden days: its quality, whether it keeps what it reported, its features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scenario_base.drills import quality
from scenario_base.drills.quality import Hidden

from harness.model import Finding, Series
from harness.probes import drift
from harness.probes.answers import Answer

from . import training
from .inputs import NUMBERS, RATES
from .pair import Pair
from .serving import number
from .training import Made

ABOVE, BELOW = 0.05, 0.10
"""Log loss. Measured on honest trees of another kind than the reference's: .041 below it on their worst days. Who is
better by more than BELOW knows what nobody knows."""

WITHIN = 0.05
"""Log loss, either way, of how the step from the holdout to hidden days differs from the reference's."""

COMPARED = tuple(name for name in NUMBERS if name not in RATES)
"""Rates are a table's: whether they are the stack's own is asked of single answers."""

DISTANCE = 0.15
"""Standard deviations of the reference's values. Both stacks echo the same flights: honest ones are 0 apart.

Measured on three stories, at one airport each: Celsius 2.2 or more, metres a second .38, kilometres .19; the weather of
four hours later stays below .14, for it is distributed as any other hour's (other checks see it)."""


def trained_quality(pair: Pair, hidden: Hidden) -> None:
    """Record trained_quality: what bin/train made answers as well as what the reference's made."""
    mine, theirs = (quality.losses(hidden.late, said) for said in hidden.answers.__dict__.values())
    error = _error(pair, hidden)
    difference = float((mine - theirs).mean())
    table = {
        "log_loss": {"candidate": float(mine.mean()), "reference": float(theirs.mean())},
        "late_share": float(hidden.late.mean()),
        "difference": difference,
        "standard_error": error,
    }
    saved = (pair.bench.save("trained_quality/losses.json", table),)
    _chart(pair, hidden)
    sentence = (
        f"Log loss {mine.mean():.3f} on {len(mine)} hidden flights of {quality.DAYS} days, the reference's "
        f"{theirs.mean():.3f} (difference {difference:+.3f}, standard error {error:.3f})."
    )
    pair.bench.record("trained_quality", Finding(as_good(difference), sentence, f"{difference:+.3f}", saved))


def as_good(difference: float) -> bool:
    """Whether a mean log loss that is so much above the reference's is an honest model's."""
    return -BELOW <= difference <= ABOVE


def metric_holds(pair: Pair, hidden: Hidden, mine: Made, theirs: Made) -> None:
    """Record reported_metric_holds; see `training.metric_holds`."""
    losses = {name: float(quality.losses(hidden.late, said).mean()) for name, said in hidden.answers.__dict__.items()}
    judged = training.metric_holds(mine, theirs, losses, _error(pair, hidden), WITHIN)
    saved = (pair.bench.save("reported_metric_holds/losses.json", judged.details),)
    pair.bench.record("reported_metric_holds", Finding(judged.ok, judged.sentence, judged.measured, saved))


def _error(pair: Pair, hidden: Hidden) -> float:
    mine, theirs = (quality.losses(hidden.late, said) for said in hidden.answers.__dict__.values())
    return quality.standard_error(mine - theirs, _days(pair, hidden), pair.bench.variant.seed)


def _days(pair: Pair, hidden: Hidden) -> np.ndarray:
    return np.array([(flight.day - pair.today).days for flight in hidden.flights])


def _chart(pair: Pair, hidden: Hidden) -> None:
    days = _days(pair, hidden)
    each = np.unique(days)
    lines = {}
    for name, said in hidden.answers.__dict__.items():
        losses = quality.losses(hidden.late, said)
        lines[name] = tuple(float(losses[days == day].mean()) for day in each)
    pair.bench.chart(
        Series(
            title="Log loss by hidden day, of the version that bin/train made",
            x_label="days after the business date",
            y_label="log loss",
            x=tuple(float(day) for day in each),
            lines=lines,
        )
    )


def features_drift(pair: Pair, hidden: Hidden) -> None:
    """Record served_features_drift: the echoed inputs of hidden flights, against the reference's of the same flights.

    By Evidently's normed Wasserstein distance of each numeric input.
    """
    mine, theirs = (_echoes(said) for said in hidden.answers.__dict__.values())
    found = drift.distances(mine, theirs, dict.fromkeys(COMPARED, drift.WASSERSTEIN))
    beyond = [name for name in COMPARED if not found[name] <= DISTANCE]
    saved = (pair.bench.save("served_features_drift/distances.json", found),)
    worst = max(COMPARED, key=lambda name: found[name])
    sentence = (
        f"{len(beyond)} of {len(COMPARED)} inputs of {len(hidden.flights)} hidden flights are distributed otherwise "
        f"than the reference's; {worst} is {found[worst]:.3f} standard deviations away."
    )
    pair.bench.record("served_features_drift", Finding(not beyond, sentence, f"{found[worst]:.3f}", saved))


def _echoes(said: Sequence[Answer]) -> pd.DataFrame:
    return pd.DataFrame({name: [number(answer, name) for answer in said] for name in NUMBERS}, dtype=float)
