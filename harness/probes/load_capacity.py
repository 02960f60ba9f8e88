"""What a stack can carry at most: closed-loop load on one stack after the other, and what the counts say.

Each has the machine to itself. At once, two would share the cores of a small machine evenly whatever their number of
workers (measured on two cores: one worker then carries what two carry).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.model import Record
from harness.probes.load import (
    CANDIDATE,
    CONFIDENCE,
    MAX_DRIVER_CPU,
    REFERENCE,
    RESAMPLES,
    TIMEOUT_S,
    Interval,
    Right,
    drive,
    first_bad,
    judged_by,
    outcome_of,
    plan_of,
)
from harness.probes.load_plan import Driver, Sent

UNDER_WAY = 8
"""Requests under way in closed loop: four for each worker of a healthy stack (BRIEF.md: two), so that none is idle."""


class Saturation(Record):
    """What stacks did in closed loop, one after the other: UNDER_WAY requests under way all the time.

    answered    per stack the answers by the contract in each second, right or wrong: `outcomes` tells how many are
    outcomes    per stack how many requests ended how, as in `load.Duet`
    first       per stack the first answer that was not ok, in words
    driver_cpu  per stack the share of a core that the driver used; `finished` whether it came to an end
    """

    answered: Mapping[str, tuple[int, ...]]
    outcomes: Mapping[str, Mapping[str, int]]
    first: Mapping[str, str]
    driver_cpu: Mapping[str, float]
    finished: bool

    def rate(self, stack: str) -> float:
        """Answers a second; 0 where there are none."""
        return float(np.mean(self.answered[stack])) if self.answered.get(stack) else 0.0


def saturate(
    urls: Mapping[str, str],
    bodies: Sequence[bytes | Mapping[str, Any]],
    right: Right | None,
    seconds: int,
    *,
    warm_s: float = 1.0,
    timeout_s: float = TIMEOUT_S,
    path: str = "/predict",
) -> Saturation:
    """Ask one stack after the other, in the order of `urls`, as fast as it answers: what it carries at most.

    Each body is sent once to each stack, so that no cache of answers helps; where they are used up early, fewer seconds
    count. Arguments and errors as of `load.duet`. Lasts about warm_s + seconds + 2 s for each stack, and up to
    timeout_s more.
    """
    sent: list[Sent] = []
    drivers: dict[str, Driver] = {}
    for name, url in urls.items():
        stages = ((0.0, warm_s + seconds),)
        plan = plan_of({name: url}, bodies, stages, 0, timeout_s, path, under_way=UNDER_WAY)
        each, drivers[name] = drive(plan)
        sent += each
    judged = judged_by(sent, right and right(), len(bodies))
    of = {name: [each for each in sent if each.stack == name] for name in urls}
    return Saturation(
        answered={name: _in_seconds(of[name], warm_s, seconds, len(of[name]) >= len(bodies)) for name in urls},
        outcomes={name: dict(Counter(outcome_of(each) for each in judged if each.stack == name)) for name in urls},
        first=first_bad(judged),
        driver_cpu={name: driver.cpu_share for name, driver in drivers.items()},
        finished=all(driver.finished for driver in drivers.values()),
    )


def share(found: Sequence[Saturation], seed: int = 0) -> Interval:
    """Candidate's answers a second over the reference's, with a seeded bootstrap over the seconds of each.

    NaN where the reference gave none. Deterministic for the same counts and seed.
    """
    of = {name: [count for each in found for count in each.answered[name]] for name in (CANDIDATE, REFERENCE)}
    mine, theirs = counts = [np.array(of[name] or [0]) for name in (CANDIDATE, REFERENCE)]
    if not theirs.sum():
        return Interval(low=np.nan, point=np.nan, high=np.nan)
    rng = np.random.default_rng(seed)
    means = [rng.choice(each, (RESAMPLES, each.size)).mean(axis=1) for each in counts]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means[0] / np.maximum(means[1], 1e-9), [tail, 1 - tail])
    return Interval(low=float(low), point=float(mine.mean() / theirs.mean()), high=float(high))


def unsound(found: Sequence[Saturation]) -> str | None:
    """Why turns say nothing about the stacks, because of the driver or the reference; None when they are sound.

    How busy the driver is counts with the reference alone: a candidate is asked in turns of its own, and can only lower
    its own number by answers that cost the driver more.
    """
    if not all(each.finished for each in found):
        return "the load driver did not finish its plan"
    if not all(each.rate(REFERENCE) for each in found):
        return "the reference gave no answer"
    cpu = max(each.driver_cpu[REFERENCE] for each in found)
    return f"the driver used {cpu:.0%} of a core" if cpu > MAX_DRIVER_CPU else None


def _in_seconds(sent: Sequence[Sent], warm_s: float, seconds: int, used_up: bool) -> tuple[int, ...]:
    """Answers in each whole second as long as there were questions; where that is none, as many as one would have."""
    done = [each.intended + each.latency_ms / 1e3 - warm_s for each in sent if each.outcome == "ok"]
    if used_up:
        asked_s = max(0.001, *(each.intended for each in sent))
        seconds = min(seconds, int(asked_s - warm_s))
        if seconds < 1:
            return (round(sum(end < asked_s - warm_s for end in done) / asked_s),)
    return tuple(sum(second <= end < second + 1 for end in done) for second in range(seconds))
