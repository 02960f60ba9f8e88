"""Drills under load: both stacks get every request, and a verdict is a ratio with its interval.

Rates are fractions of what the reference holds with both stacks under load, measured at the start. Latency and
capacity are measured with questions that nobody has asked, so that an answer cache plays no part in them.

An answer is right when it is the reference's to the same question; or, where both do not know the same (`Expected`),
the one that the candidate gave before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.model import Finding, Series
from harness.probes import load
from harness.probes.load import CANDIDATE, REFERENCE, Duet, Interval

from .pair import Pair
from .rows import Row

Bodies = Callable[[int], Sequence[dict[str, Any]]]
Expected = Callable[[Sequence[dict[str, Any]]], Sequence[Sequence[float]]]
"""What the candidate's answers to bodies must be: a list of risks for each body."""

LATENCY, LATENCY_SHARE, LATENCY_LIMIT = "latency", 0.4, 1.5
CAPACITY, CAPACITY_SHARE, CAPACITY_LIMIT = "holds_load", 0.9, 2.5
"""Checks, their rates as shares of the reference's capacity, and their limits as ratios of latencies."""

PAIRS, SHORTEST_S, LONGEST_S = 400, 8.0, 12.0
"""A window under load holds so many requests of each stack, within these seconds: 20 lie above the 95th percentile."""

FAILED_AT_MOST = 0.01
"""Share of requests that may fail or be late beyond the timeout; a wrong answer is never allowed."""

LOOKS = 3
"""A measurement that says too little is extended, at most twice (declared, so that no look is chosen by its result)."""


@dataclass(frozen=True)
class Promise:
    """One promise about speed: the q-quantile of latency is at most `limit` times the reference's."""

    check: str
    q: float
    limit: float
    rate: float
    seconds: float
    bodies: Bodies


def capacity(pair: Pair) -> float:
    """Pairs a second that the reference holds. Raises RuntimeError when it holds not even the first step."""
    found = load.calibrate(_urls(pair), _bodies(pair.fresh(400)), seed=_seed(pair, "capacity"), steps=6, step_s=1.2)
    pair.bench.save("load/capacity.json", found)
    if not found.rate:
        raise RuntimeError(f"the reference holds not even {found.steps[0][0]:.0f} requests a second")
    return found.rate


def under_load(pair: Pair, expected: Expected | None = None) -> None:
    """Record latency, at a rate both hold with ease, and capacity, near the reference's own; each where it is wanted.

    Raises as `capacity`.
    """
    bench = pair.bench
    with bench.activity("capacity of the reference", "load"):
        held = capacity(pair)
    new = new_questions(pair)
    for check, share, limit in (
        (LATENCY, LATENCY_SHARE, LATENCY_LIMIT),
        (CAPACITY, CAPACITY_SHARE, CAPACITY_LIMIT),
    ):
        if bench.wants(check):
            with bench.guard(check), bench.activity(f"load: {check}", "load"):
                rate = share * held
                seconds = min(LONGEST_S, max(SHORTEST_S, PAIRS / rate))
                measure(pair, Promise(check, 0.95, limit, rate, seconds, new), expected)


def new_questions(pair: Pair) -> Bodies:
    """Bodies that were never asked, one row each."""
    return lambda n: _bodies(pair.fresh(n))


def repeated(rows: Sequence[Row]) -> Bodies:
    """The same few bodies, however many are wanted: questions that were asked before."""
    return lambda n: _bodies(rows)


def measure(pair: Pair, promise: Promise, expected: Expected | None = None) -> None:
    """Record a promise's check."""
    windows: list[Duet] = []
    finding = Finding(None, "Nothing was measured.")
    for look in range(LOOKS):
        windows.append(_duet(pair, promise, look, expected))
        finding = judge(pair, promise, load.join(*windows), alike=expected is None)
        if finding.ok is not None:
            break
    _chart(pair, promise, load.join(*windows))
    pair.bench.record(promise.check, finding)


def _duet(pair: Pair, promise: Promise, look: int, expected: Expected | None) -> Duet:
    bodies = promise.bodies(int(promise.rate * (promise.seconds + 1.0) * 1.3) + 20)
    answers = expected(bodies) if expected is not None else None
    seed = _seed(pair, f"{promise.check} {look}")
    return load.duet(_urls(pair), bodies, answers, promise.rate, promise.seconds, seed)


def judge(pair: Pair, promise: Promise, window: Duet, alike: bool = True) -> Finding:
    """Whether the promise holds in a window. Where stacks are not to answer alike, no answer of the reference is wrong.

    None where the window says nothing, or the reference fails as well. No driver's trouble makes an answer wrong.
    """
    seed = _seed(pair, promise.check)
    interval = load.ratio(window, promise.q, seed)
    saved = (pair.bench.save(f"{promise.check}/window.json", window.evidence() | {"ratio": interval}),)
    invalid = load.valid(window)
    if invalid and not window.outcomes(CANDIDATE)["wrong"]:
        return _despite(invalid, promise, window, seed, saved)
    wrong = _wrong_answers(window)
    if wrong:
        ok = None if _bad_share(window, REFERENCE, alike) > FAILED_AT_MOST else False
        return Finding(ok, wrong, str(interval), saved)
    name = f"p{promise.q * 100:.0f}"
    sentence = (
        f"{name} {window.quantile(CANDIDATE, promise.q):.0f} ms against the reference's "
        f"{window.quantile(REFERENCE, promise.q):.0f} ms at {promise.rate:.0f} requests a second: ratio {interval}."
    )
    return Finding(_side(interval, promise.limit), sentence, str(interval), saved)


def _despite(invalid: str, promise: Promise, window: Duet, seed: int, saved: tuple[str, ...]) -> Finding:
    """What a spoilt window says all the same: that a candidate is slower by more than the driver can have added."""
    surely = load.ratio(load.least(window), promise.q, seed) if window.finished else None
    if surely is None or not surely.low > promise.limit:
        return Finding(None, f"The measurement says nothing: {invalid}.", "", saved)
    sentence = (
        f"p{promise.q * 100:.0f} is {surely} times the reference's at {promise.rate:.0f} requests a second, without "
        f"all that the driver can have added: {invalid}."
    )
    return Finding(False, sentence, str(surely), saved)


def _side(interval: Interval, limit: float) -> bool | None:
    if interval.high <= limit:
        return True
    return False if interval.low > limit else None


def _wrong_answers(window: Duet) -> str:
    outcomes = window.outcomes(CANDIDATE)
    first = window.first.get(CANDIDATE, "")
    if outcomes["wrong"]:
        return f"{outcomes['wrong']} of {sum(outcomes.values())} answers are wrong; the first: {first}."
    if _bad_share(window, CANDIDATE, True) > FAILED_AT_MOST:
        return f"{window.not_ok(CANDIDATE)} of {sum(outcomes.values())} requests failed; the first: {first}."
    return ""


def _bad_share(window: Duet, stack: str, alike: bool) -> float:
    outcomes = window.outcomes(stack)
    bad = window.not_ok(stack) - (0 if alike else outcomes["wrong"])
    return bad / max(1, sum(outcomes.values()))


def _chart(pair: Pair, promise: Promise, window: Duet) -> None:
    second = np.floor(window.intended).astype(int)
    seconds = np.unique(second)

    def line(stack: str) -> tuple[float | None, ...]:
        mine = [window.latency_ms[(second == each) & (window.stack == stack)] for each in seconds]
        return tuple(float(np.quantile(found, promise.q)) if found.size else None for found in mine)

    pair.bench.chart(
        Series(
            title=f"Latency at {promise.rate:.0f} requests a second ({promise.check})",
            x_label="seconds",
            y_label=f"p{promise.q * 100:.0f} in ms",
            x=tuple(float(each) for each in seconds),
            lines={name: line(name) for name in (CANDIDATE, REFERENCE)},
        )
    )


def _urls(pair: Pair) -> dict[str, str]:
    stacks = ((CANDIDATE, pair.candidate), (REFERENCE, pair.reference))
    return {name: stack.endpoint("serving") for name, stack in stacks}


def _bodies(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"rows": [row]} for row in rows]


def _seed(pair: Pair, purpose: str) -> int:
    return sum((n + 1) * ord(char) for n, char in enumerate(f"{pair.seed}/{purpose}"))
