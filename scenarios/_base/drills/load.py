"""Drills under load: both stacks get every request, and a verdict is a ratio with its interval.

Capacity is measured on one stack after the other; latency on both at once, at a rate that is a share of what the
reference carries at most. All with questions that nobody has asked, so that an answer cache plays no part in them.

An answer is right when it is the reference's to the same question; or, where both do not know the same (`Expected`),
the one that the candidate gives to the same question afterwards, in a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness.model import Finding, Series
from harness.probes import load, load_capacity
from harness.probes.load import CANDIDATE, REFERENCE, Duet, Interval
from harness.probes.load_capacity import Saturation

from .pair import Pair
from .rows import Row

Bodies = Callable[[int], Sequence[dict[str, Any]]]
Expected = Callable[[Sequence[dict[str, Any]]], Sequence[Sequence[float]]]
"""What the candidate's answers to bodies must be: a list of risks for each body."""

STACKS = (CANDIDATE, REFERENCE)

LATENCY, LATENCY_SHARE, LATENCY_LIMIT = "latency", 0.2, 1.5
"""A check, its rate as a share of the reference's capacity, and its limit as a ratio of latencies. At a fifth each, two
stacks need two fifths of the smallest machine, of two cores."""

CAPACITY, CAPACITY_LIMIT = "holds_load", 0.75
"""A check, and the share of the reference's capacity that is enough. Measured in containers on two cores: the healthy
tree carries .94 to 1.04 of it (six gradings), and one worker .56 to .64 (five)."""

ORDERS = ((REFERENCE, CANDIDATE), (CANDIDATE, REFERENCE))
"""Who is asked first. Both, so that a machine that gets slower or quicker favours none; every second look begins with
the other."""

TURN_S = 4
"""Seconds that are counted when a stack is asked as fast as it answers."""

QUESTIONS = 1600
"""Questions of a turn: where they are used up before its end, as above 320 answers a second, fewer seconds count."""

PAIRS, SHORTEST_S, LONGEST_S = 400, 8.0, 12.0
"""A window under load holds so many requests of each stack, within these seconds: 20 lie above the 95th percentile."""

CAPACITY_LOOKS = {True: 1, False: 2, None: 3}
"""Looks at capacity, by what those before say together. A machine that dips for the seconds of one stack's turns makes
that stack seem slow, so no single look takes points."""

FAILED_AT_MOST = 0.01
"""Share of requests that may fail or be late beyond the timeout; a wrong answer is never allowed."""

LOOKS = 3
"""A window that says too little is extended, at most twice (declared, so that no look is chosen by its result)."""


@dataclass(frozen=True)
class Promise:
    """One promise about speed: the q-quantile of latency is at most `limit` times the reference's."""

    check: str
    q: float
    limit: float
    rate: float
    seconds: float
    bodies: Bodies


def under_load(pair: Pair, expected: Expected | None = None) -> None:
    """Record capacity, beside the reference's, and latency, at a rate both carry with ease; each where it is wanted.

    In this order, so that latency is measured on stacks that have both been under load. Raises RuntimeError when the
    reference answers nothing under load.
    """
    bench = pair.bench
    with bench.activity("load: as fast as each stack answers", "load"):
        turns = _both_orders(pair, ORDERS, expected)
        most = _mean_rate(turns, REFERENCE)
    if not most:
        raise RuntimeError("the reference answers nothing under load")
    if bench.wants(CAPACITY):
        with bench.guard(CAPACITY), bench.activity(f"load: {CAPACITY}", "load"):
            measure_capacity(pair, turns, expected)
    if bench.wants(LATENCY):
        with bench.guard(LATENCY), bench.activity(f"load: {LATENCY}", "load"):
            rate = LATENCY_SHARE * most
            seconds = min(LONGEST_S, max(SHORTEST_S, PAIRS / rate))
            measure(pair, Promise(LATENCY, 0.95, LATENCY_LIMIT, rate, seconds, new_questions(pair)), expected)


def measure_capacity(pair: Pair, turns: list[Saturation], expected: Expected | None = None) -> None:
    """Record holds_load, from turns of both stacks, and from as many more as CAPACITY_LOOKS asks for."""
    finding = judge_capacity(pair, turns, alike=expected is None)
    while (looks := len(turns) // len(ORDERS)) < CAPACITY_LOOKS[finding.ok]:
        turns += _both_orders(pair, ORDERS[:: 1 if looks % 2 == 0 else -1], expected)
        finding = judge_capacity(pair, turns, alike=expected is None)
    _chart_capacity(pair, turns)
    pair.bench.record(CAPACITY, finding)


def judge_capacity(pair: Pair, turns: Sequence[Saturation], alike: bool = True) -> Finding:
    """Whether the candidate carries its share. Stacks, and what makes an answer right, as in `judge`."""
    interval = load_capacity.share(turns, _seed(pair, CAPACITY))
    evidence = {"turns": [each.model_dump(mode="json") for each in turns], "share": interval}
    saved = (pair.bench.save(f"{CAPACITY}/turns.json", evidence),)
    outcomes = {name: sum((Counter(each.outcomes[name]) for each in turns), Counter()) for name in STACKS}
    if failed := _reference_failed(outcomes[REFERENCE], alike):
        return Finding(None, failed, "", saved)
    first = next((each.first[CANDIDATE] for each in turns if CANDIDATE in each.first), "")
    if wrong := _wrong_answers(outcomes[CANDIDATE], first):
        return Finding(False, wrong, str(interval), saved)
    if invalid := load_capacity.unsound(turns):
        return Finding(None, f"The measurement says nothing: {invalid}.", "", saved)
    mine, theirs = (_mean_rate(turns, name) for name in STACKS)
    sentence = f"{mine:.0f} answers a second at most against the reference's {theirs:.0f}: a share of {interval}."
    return Finding(_at_least(interval, CAPACITY_LIMIT), sentence, str(interval), saved)


def _both_orders(pair: Pair, orders: Sequence[Sequence[str]], expected: Expected | None) -> list[Saturation]:
    found = []
    for order in orders:
        urls, bodies = _urls(pair), new_questions(pair)(QUESTIONS)
        right = partial(expected, bodies) if expected is not None else None
        found.append(load_capacity.saturate({name: urls[name] for name in order}, bodies, right, TURN_S))
    return found


def _mean_rate(turns: Sequence[Saturation], stack: str) -> float:
    return float(np.mean([each.rate(stack) for each in turns]))


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
    right = partial(expected, bodies) if expected is not None else None
    seed = _seed(pair, f"{promise.check} {look}")
    return load.duet(_urls(pair), bodies, right, promise.rate, promise.seconds, seed)


def judge(pair: Pair, promise: Promise, window: Duet, alike: bool = True) -> Finding:
    """Whether the promise holds in a window. Where stacks are not to answer alike, no answer of the reference is wrong.

    None where the window says nothing, or the reference fails. No driver's trouble makes an answer wrong.
    """
    seed = _seed(pair, promise.check)
    interval = load.ratio(window, promise.q, seed)
    saved = (pair.bench.save(f"{promise.check}/window.json", window.evidence() | {"ratio": interval}),)
    if failed := _reference_failed(window.outcomes(REFERENCE), alike):
        return Finding(None, failed, "", saved)
    invalid = load.valid(window)
    if invalid and not window.outcomes(CANDIDATE)["wrong"]:
        return _despite(invalid, promise, window, seed, saved)
    wrong = _wrong_answers(window.outcomes(CANDIDATE), window.first.get(CANDIDATE, ""))
    if wrong:
        return Finding(False, wrong, str(interval), saved)
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


def _at_least(interval: Interval, limit: float) -> bool | None:
    if interval.low >= limit:
        return True
    return False if interval.high < limit else None


def _wrong_answers(outcomes: Counter[str], first: str) -> str:
    if outcomes["wrong"]:
        return f"{outcomes['wrong']} of {outcomes.total()} answers are wrong; the first: {first}."
    if _bad_share(outcomes, True) > FAILED_AT_MOST:
        return f"{outcomes.total() - outcomes['ok']} of {outcomes.total()} requests failed; the first: {first}."
    return ""


def _reference_failed(outcomes: Counter[str], alike: bool) -> str:
    """Where it fails itself it is no measure: what failed counts as slow, and anything would be quicker."""
    if _bad_share(outcomes, alike) <= FAILED_AT_MOST:
        return ""
    failed = outcomes.total() - outcomes["ok"] - (0 if alike else outcomes["wrong"])
    return f"The measurement says nothing: {failed} of {outcomes.total()} requests failed at the reference."


def _bad_share(outcomes: Counter[str], alike: bool) -> float:
    bad = outcomes.total() - outcomes["ok"] - (0 if alike else outcomes["wrong"])
    return bad / max(1, outcomes.total())


def _chart_capacity(pair: Pair, turns: Sequence[Saturation]) -> None:
    counts = [[float(count) for each in turns for count in each.answered[name]] for name in STACKS]
    seconds = max(len(line) for line in counts)
    pair.bench.chart(
        Series(
            title=f"Answers in each second, asked as fast as they come ({CAPACITY})",
            x_label="seconds",
            y_label="answers",
            x=tuple(float(second) for second in range(seconds)),
            lines={
                name: (*line, *(None for _ in range(seconds - len(line))))
                for name, line in zip(STACKS, counts, strict=True)
            },
        )
    )


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
            lines={name: line(name) for name in STACKS},
        )
    )


def _urls(pair: Pair) -> dict[str, str]:
    stacks = ((CANDIDATE, pair.candidate), (REFERENCE, pair.reference))
    return {name: stack.endpoint("serving") for name, stack in stacks}


def _bodies(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"rows": [row]} for row in rows]


def _seed(pair: Pair, purpose: str) -> int:
    return sum((n + 1) * ord(char) for n, char in enumerate(f"{pair.seed}/{purpose}"))
