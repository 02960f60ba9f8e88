"""What a trained version does on the hidden days: its quality, whether it keeps what it reported, its features."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from scenario_base.drills import quality
from scenario_base.drills.quality import Hidden

from harness.model import Finding
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


def champion_quality(pair: Pair, hidden: Hidden) -> None:
    """Record champion_quality: whatever serves after the first night answers as well as the reference.

    A version that was trained on what nobody knows when asked stands at the gate for ever: its log loss on a holdout is
    better than any honest one's, and its answers are not.
    """
    check = "champion_quality"
    pair.bench.record(check, quality.as_good(pair, hidden, check, ABOVE, BELOW))


def trained_quality(pair: Pair, hidden: Hidden) -> None:
    """Record trained_quality: what bin/train made answers as well as what the reference's made."""
    check = "trained_quality"
    pair.bench.record(check, quality.as_good(pair, hidden, check, ABOVE, BELOW))


def metric_holds(pair: Pair, hidden: Hidden, mine: Made, theirs: Made) -> None:
    """Record reported_metric_holds; see `training.metric_holds`."""
    losses = {name: float(quality.losses(hidden.late, said).mean()) for name, said in hidden.answers.items()}
    judged = training.metric_holds(mine, theirs, losses, _error(pair, hidden), WITHIN)
    saved = (pair.bench.save("reported_metric_holds/losses.json", judged.details),)
    pair.bench.record("reported_metric_holds", Finding(judged.ok, judged.sentence, judged.measured, saved))


def _error(pair: Pair, hidden: Hidden) -> float:
    mine, theirs = (quality.losses(hidden.late, said) for _, said in hidden.answers.items())
    return quality.standard_error(mine - theirs, hidden.days_after(pair.today), pair.bench.variant.seed)


def features_drift(pair: Pair, hidden: Hidden) -> None:
    """Record served_features_drift: the echoed inputs of hidden flights, against the reference's of the same flights.

    By Evidently's normed Wasserstein distance of each numeric input.
    """
    mine, theirs = (_echoes(said) for _, said in hidden.answers.items())
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
