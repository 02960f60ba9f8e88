"""Quality of what passengers get: log loss and distribution of the fresh stack's answers on seven hidden days."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.model import Finding, Series, Stack
from harness.probes import drift
from harness.probes.answers import Answer
from harness.probes.http import ask

from .pair import Both, Pair
from .rows import Flight

DAYS = 7
A_DAY = 250
DRIFT_TRIALS = 200
DRIFT_QUANTILE = 0.99
Floats = NDArray[np.float64]
Days = NDArray[np.int64]


@dataclass(frozen=True)
class Hidden:
    """Hidden flights that arrived, and what both stacks said of them on the fresh stack."""

    flights: Sequence[Flight]
    answers: Both[list[Answer]]

    @property
    def late(self) -> Floats:
        """1 for late."""
        return np.array([flight.late for flight in self.flights], dtype=np.float64)

    def days_after(self, today: date) -> Days:
        """How many days after the business date each flight leaves."""
        return np.array([(flight.day - today).days for flight in self.flights])


def ask_hidden(pair: Pair) -> Hidden:
    """Ask about A_DAY flights of each of DAYS hidden days, a day a request."""
    draw = random.Random(f"{pair.seed}/quality")
    flights: list[Flight] = []
    batches = []
    for n in range(DAYS):
        day = pair.today + timedelta(days=n)
        arrived = [flight for flight in pair.flights if flight.day == day and flight.late is not None]
        chosen = draw.sample(arrived, min(A_DAY, len(arrived)))
        flights += chosen
        batches.append(pair.shared.about(chosen))

    def each(stack: Stack) -> list[Answer]:
        return [answer for batch in batches for answer in ask(stack, batch, timeout=30.0)]

    return Hidden(flights, pair.both(each))


def losses(late: Floats, answers: Sequence[Answer]) -> Floats:
    """Log loss of each answer, risks kept 1e-6 away from 0 and 1."""
    risk = np.clip(np.array([answer.p_late for answer in answers]), 1e-6, 1 - 1e-6)
    found: Floats = -np.where(late == 1, np.log(risk), np.log1p(-risk))
    return found


def champion_quality(pair: Pair, hidden: Hidden, above: float, below: float) -> None:
    """Record champion_quality: the champion of the candidate's own registry answers, and as well as the reference.

    `above` and `below` are how much the mean log loss may be greater and smaller than the reference's.
    """
    check = "champion_quality"
    pair.bench.record(check, _wrong_version(pair, hidden) or as_good(pair, hidden, check, above, below))


def _wrong_version(pair: Pair, hidden: Hidden) -> Finding | None:
    champion = pair.registry[pair.candidate.name].champion()
    if champion is None:
        return Finding(False, "The registry has no version with the alias champion.", "no champion")
    said = sorted({answer.model.version for answer in hidden.answers.candidate})
    if said != [champion.version]:
        sentence = f"The registry's champion is version {champion.version}, answers came from {', '.join(said)}."
        return Finding(False, sentence, f"version {', '.join(said)}")
    return None


def as_good(pair: Pair, hidden: Hidden, check: str, above: float, below: float) -> Finding:
    """Whether the mean log loss of the candidate's answers is at most `above` more and `below` less than the
    reference's; with a chart of it by day."""
    late, answers, days = hidden.late, hidden.answers, hidden.days_after(pair.today)
    found = {name: losses(late, said) for name, said in answers.items()}
    mine, theirs = found["candidate"], found["reference"]
    difference = float((mine - theirs).mean())
    error = standard_error(mine - theirs, days, pair.bench.variant.seed)
    table = {
        "log_loss": {name: float(loss.mean()) for name, loss in found.items()},
        "mean_risk": {name: float(np.mean([a.p_late for a in said])) for name, said in answers.items()},
        "late_share": float(late.mean()),
        "difference": difference,
        "standard_error": error,
        "rows": [
            {"row": a.row_id, "day": int(day), "late": int(y), "candidate": a.p_late, "reference": b.p_late}
            for a, b, day, y in zip(answers.candidate, answers.reference, days, late, strict=True)
        ],
    }
    evidence = (pair.bench.save(f"{check}/rows.json", table),)
    _chart(pair, check, days, found)
    sentence = (
        f"Log loss {mine.mean():.3f} on {len(late)} hidden flights of {DAYS} days, the reference's {theirs.mean():.3f} "
        f"(difference {difference:+.3f}, standard error {error:.3f})."
    )
    return Finding(within(difference, above, below), sentence, f"{difference:+.3f}", evidence)


def within(difference: float, above: float, below: float) -> bool:
    """Whether a mean log loss that is so much above the reference's is at most `above` more and `below` less."""
    return -below <= difference <= above


def standard_error(differences: Floats, days: Days, seed: int, resamples: int = 1000) -> float:
    """Bootstrap standard error of the mean paired difference; whole days are drawn, for flights of a day are alike."""
    rng = np.random.default_rng(seed)
    groups = [differences[days == day] for day in np.unique(days)]
    means = [
        float(np.concatenate([groups[n] for n in rng.integers(0, len(groups), len(groups))]).mean())
        for _ in range(resamples)
    ]
    return float(np.std(means, ddof=1))


def _chart(pair: Pair, check: str, days: Days, found: Mapping[str, Floats]) -> None:
    each = np.unique(days)
    pair.bench.chart(
        Series(
            title=f"Log loss by hidden day ({check})",
            x_label="days after the business date",
            y_label="log loss",
            x=tuple(float(day) for day in each),
            lines={name: tuple(float(loss[days == day].mean()) for day in each) for name, loss in found.items()},
        )
    )


def served_drift(pair: Pair, hidden: Hidden, honest: float) -> None:
    """Record served_scores_drift: Evidently's normed Wasserstein distance of both stacks' risks of the same flights.

    The threshold is what windows of half the reference's own risks stay below 99 times in 100, plus `honest`, in
    standard deviations of the reference's risks.
    """
    risks = {name: pd.DataFrame({"p_late": [a.p_late for a in said]}) for name, said in hidden.answers.items()}
    methods = {"p_late": drift.WASSERSTEIN}
    rows, seed = len(hidden.flights) // 2, pair.bench.variant.seed
    found = pair.bench.side_by_side(  # nearly all of both is the import of Evidently
        lambda: drift.distances(risks["candidate"], risks["reference"], methods),
        lambda: drift.clean_threshold(risks["reference"], methods, rows, DRIFT_TRIALS, DRIFT_QUANTILE, seed),
    )
    distance, clean = (float(each["p_late"]) for each in found)
    limit = clean + honest
    table = {"distance": distance, "clean_p99": clean, "honest": honest, "limit": limit}
    evidence = (pair.bench.save("served_scores_drift/distances.json", table),)
    sentence = (
        f"The risks of {len(hidden.flights)} hidden flights are {distance:.3f} standard deviations apart; "
        f"limit {limit:.3f}."
    )
    pair.bench.record("served_scores_drift", Finding(distance <= limit, sentence, f"{distance:.3f}", evidence))
