"""Open-loop load on two stacks at once (Locust, in a process of its own), and what the numbers say.

Arrivals are Poisson from a seed; each payload goes to both stacks, request by request in random order, so that noise
of the machine hits both alike (measured: p95 ratio of identical servers 0.99-1.02, against 0.81-1.47 with windows in
turn). Latency counts from the intended send time, in milliseconds. The probe measures: a check compares with limits.
`load_capacity` has the closed loop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import EnvironmentFault
from harness.model import Record, SendLoad
from harness.probes.load_plan import Driver, Plan, Sent

CANDIDATE = "candidate"
REFERENCE = "reference"
TIMEOUT_S = 10.0
AGREE = 1e-6
"""Largest difference of a right answer's p_late (BRIEF.md: rows agree within 1e-6)."""

MAX_SHORTFALL = 0.05
"""Largest share of requests sent more than a second late: beyond it the window is invalid."""
MAX_LAG_MS = 50.0
"""Largest 99th percentile of send lag; or half the reference's median latency, where that is larger."""
MAX_DRIVER_CPU = 0.7
"""Largest share of a core that the driver may use."""

BLOCK_S = 1.0
RESAMPLES = 2000
CONFIDENCE = 0.95

Floats = NDArray[np.float64]
Right = Callable[[], Sequence[Sequence[float]]]
"""Gives for each body the p_late of its rows. Called once all was sent: whom it asks was not asked before."""


@dataclass(frozen=True)
class Duet:
    """A window of load: one entry a request in each array, in order of intended time.

    intended    seconds from the start of the window
    latency_ms  from the intended time; failed requests and timeouts count as the timeout
    outcome     ok, wrong (answered, but not what is expected), failed or timeout
    first       per stack the first answer that was not ok, in words
    lag_ms      how much later than intended the driver sent it, which is part of its latency
    lag_p99_ms  send lag of the driver; `shortfall` the share of requests not sent within a second of their time
    oversized   per stack how many of the wrong answers would have cost the driver more than any answer may
    """

    rate: float
    seconds: float
    timeout_ms: float
    intended: Floats
    stack: NDArray[np.str_]
    latency_ms: Floats
    lag_ms: Floats
    outcome: NDArray[np.str_]
    first: Mapping[str, str]
    lag_p99_ms: float
    shortfall: float
    driver_cpu: float
    finished: bool
    oversized: Mapping[str, int] = field(default_factory=dict)

    def of(self, stack: str) -> Floats:
        """Latencies of one stack in milliseconds."""
        found: Floats = self.latency_ms[self.stack == stack]
        return found

    def quantile(self, stack: str, q: float) -> float:
        """A quantile of one stack's latencies in milliseconds; NaN when nothing was sent."""
        found = self.of(stack)
        return float(np.quantile(found, q)) if found.size else float("nan")

    def outcomes(self, stack: str) -> Counter[str]:
        """How many requests of a stack ended how."""
        return Counter(str(each) for each in self.outcome[self.stack == stack])

    def not_ok(self, stack: str) -> int:
        """How many requests of a stack were wrong, failed or late beyond the timeout."""
        return sum(count for outcome, count in self.outcomes(stack).items() if outcome != "ok")

    def evidence(self) -> dict[str, Any]:
        """Everything as JSON-able data, for Bench.save: anybody can compute the ratio again."""
        return {
            "rate": self.rate,
            "seconds": self.seconds,
            "timeout_ms": self.timeout_ms,
            "lag_p99_ms": round(self.lag_p99_ms, 3),
            "shortfall": self.shortfall,
            "driver_cpu": round(self.driver_cpu, 3),
            "finished": self.finished,
            "first": dict(self.first),
            "oversized": dict(self.oversized),
            "intended": [round(float(each), 4) for each in self.intended],
            "stack": [str(each) for each in self.stack],
            "latency_ms": [round(float(each), 3) for each in self.latency_ms],
            "lag_ms": [round(float(each), 3) for each in self.lag_ms],
            "outcome": [str(each) for each in self.outcome],
        }


class Interval(Record):
    """A ratio with its bootstrap interval (95 %)."""

    low: float
    point: float
    high: float

    def __str__(self) -> str:
        return f"{self.point:.2f} ({self.low:.2f}–{self.high:.2f})"


def duet(
    urls: Mapping[str, str],
    bodies: Sequence[bytes | Mapping[str, Any]],
    right: Right | None,
    rate: float,
    seconds: float,
    seed: int,
    *,
    warm_s: float = 1.0,
    timeout_s: float = TIMEOUT_S,
    path: str = "/predict",
) -> Duet:
    """Load both stacks with `rate` pairs a second for `seconds` after `warm_s` seconds that are not counted.

    urls      {"candidate": base URL, "reference": base URL}
    bodies    payloads {"rows": [...]}, taken in turn; a body that comes again is a repeated question
    right     what is right, within 1e-6; None: the reference's answer to the same payload, and a candidate's answer
              is compared where the reference gave one

    Raises EnvironmentFault when the driver itself died. Lasts about warm_s + seconds + 2 s, and up to timeout_s more.
    """
    plan = plan_of(urls, bodies, ((rate, warm_s + seconds),), seed, timeout_s, path)
    sent, driver = drive(plan)
    return _duet(judged_by(sent, right and right(), len(bodies)), driver, rate, seconds, timeout_s, warm_s)


def join(*duets: Duet) -> Duet:
    """One window out of several at the same rate, one after the other: to extend a measurement that said too little."""
    starts = np.cumsum([0.0, *(np.ceil(each.seconds) + BLOCK_S for each in duets[:-1])])
    sizes = np.array([each.intended.size for each in duets], dtype=np.float64)
    return Duet(
        rate=duets[0].rate,
        seconds=sum(each.seconds for each in duets),
        timeout_ms=duets[0].timeout_ms,
        intended=np.concatenate([each.intended + start for each, start in zip(duets, starts, strict=True)]),
        stack=np.concatenate([each.stack for each in duets]),
        latency_ms=np.concatenate([each.latency_ms for each in duets]),
        lag_ms=np.concatenate([each.lag_ms for each in duets]),
        outcome=np.concatenate([each.outcome for each in duets]),
        first={name: text for each in reversed(duets) for name, text in each.first.items()},
        lag_p99_ms=_p99([lag for each in duets for lag in each.lag_ms]),
        shortfall=float(np.average([each.shortfall for each in duets], weights=np.maximum(sizes, 1))),
        driver_cpu=max(each.driver_cpu for each in duets),
        finished=all(each.finished for each in duets),
        oversized=dict(sum((Counter(each.oversized) for each in duets), Counter())),
    )


def ratio(window: Duet, q: float = 0.95, seed: int = 0) -> Interval:
    """Candidate's q-quantile of latency over the reference's, with a seeded block bootstrap over 1-s blocks.

    A block holds the requests of both stacks of one second (by intended time), so noise that hits both stays paired.
    Deterministic for the same window and seed. An empty window gives NaN, to be refused by `valid` before.
    """
    blocks = _blocks(window)
    point = _ratio(blocks, q)
    if not blocks:
        return Interval(low=point, point=point, high=point)
    rng = np.random.default_rng(seed)
    draws = [
        _ratio([blocks[index] for index in rng.integers(0, len(blocks), len(blocks))], q) for _ in range(RESAMPLES)
    ]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail])
    return Interval(low=float(low), point=point, high=float(high))


def valid(window: Duet) -> str | None:
    """Why a window says nothing about the stacks, because of the driver or the machine; None when it is sound.

    Where the candidate's answers were oversized, the driver's trouble is no excuse: they are wrong, and count as that.
    """
    return None if window.oversized.get(CANDIDATE) else _spoilt(window)


def least(window: Duet) -> Duet:
    """The window with the candidate's latencies less all that the driver's lag can have added to them.

    A request was sent `lag_ms` late, and its answer may have been read as late as a request was sent. The reference's
    latencies stay whole. So a candidate that is slower even here is slower, however the driver fared; one that takes
    the machine from the driver does not get a measurement that says nothing.
    """
    mine = window.stack == CANDIDATE
    added = np.where(mine, window.lag_ms + window.lag_p99_ms, 0.0)
    return replace(window, latency_ms=np.maximum(window.latency_ms - added, 0.0))


def _spoilt(window: Duet) -> str | None:
    if not window.finished:
        return "the load driver did not finish its plan"
    if not (window.of(CANDIDATE).size and window.of(REFERENCE).size):
        return "nothing was sent"
    if window.shortfall > MAX_SHORTFALL:
        return f"{window.shortfall:.0%} of the requests were sent more than a second late"
    limit = max(MAX_LAG_MS, window.quantile(REFERENCE, 0.5) / 2)
    if window.lag_p99_ms > limit:
        return f"the driver's send lag was {window.lag_p99_ms:.0f} ms at the 99th percentile (limit {limit:.0f})"
    if window.driver_cpu > MAX_DRIVER_CPU:
        return f"the driver used {window.driver_cpu:.0%} of a core"
    return None


def plan_of(
    urls: Mapping[str, str],
    bodies: Sequence[bytes | Mapping[str, Any]],
    stages: Sequence[tuple[float, float]],
    seed: int,
    timeout_s: float,
    path: str,
    under_way: int = 0,
) -> Plan:
    """A plan of load for stacks with these base URLs; bodies, stages and the rest as a `Plan` has them."""
    return Plan(
        urls={name: f"{url}{path}" for name, url in urls.items()},
        bodies=tuple(body.decode() if isinstance(body, bytes) else json.dumps(body) for body in bodies),
        stages=tuple(stages),
        seed=seed,
        timeout_s=timeout_s,
        under_way=under_way,
    )


@contextmanager
def sent_by(send: SendLoad | None) -> Iterator[None]:
    """While the block lasts, load is sent by `send`; None: by a process of this machine. One block at a time."""
    # A grader asks for load without knowing where its driver runs.
    global _send
    before, _send = _send, send or _local
    try:
        yield
    finally:
        _send = before


def drive(plan: Plan) -> tuple[list[Sent], Driver]:
    """Send a plan, by whatever `sent_by` says. Raises EnvironmentFault when the driver died."""
    sent, driver = _send(plan.model_dump_json().encode(), plan.longest_s + 30)
    return [Sent.model_validate_json(line) for line in sent.splitlines()], Driver.model_validate_json(driver)


def _local(plan: bytes, seconds: float) -> tuple[bytes, bytes]:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "LOCUST_SKIP_LOG_SETUP": "1"}
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        folder = Path(name)
        (folder / "plan.json").write_bytes(plan)
        command = [sys.executable, "-m", "harness.probes.load_driver", name]
        try:
            done = subprocess.run(command, env=environment, cwd=name, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise EnvironmentFault(
                "The load driver did not end in time.", "Run it again on a quieter machine."
            ) from None
        if done.returncode != 0 or not (folder / "driver.json").is_file():
            end = done.stderr.decode(errors="replace")[-600:]
            raise EnvironmentFault(f"The load driver died with exit code {done.returncode}: {end}")
        return (folder / "sent.jsonl").read_bytes(), (folder / "driver.json").read_bytes()


_send: SendLoad = _local


def judged_by(sent: Sequence[Sent], expected: Sequence[Sequence[float]] | None, bodies: int) -> list[Sent]:
    """The same requests; those that were answered, but not with what is expected, become wrong."""
    theirs = {each.pair: each.risks for each in sent if each.stack == REFERENCE and each.outcome == "ok"}
    judged = []
    for each in sent:
        right = theirs.get(each.pair) if expected is None else expected[each.pair % bodies]
        text = _differs(each.risks, right)
        judged.append(each.model_copy(update={"outcome": "wrong", "text": text}) if text else each)
    return judged


def _differs(risks: Sequence[float] | None, right: Sequence[float] | None) -> str:
    if risks is None or right is None:
        return ""
    if len(risks) != len(right):
        return f"{len(risks)} rows where {len(right)} are right"
    for index, (mine, theirs) in enumerate(zip(risks, right, strict=True)):
        if abs(mine - theirs) > AGREE:
            return f"p_late {mine:.6f} in row {index} where {theirs:.6f} is right"
    return ""


def _duet(sent: Sequence[Sent], driver: Driver, rate: float, seconds: float, timeout_s: float, begin: float) -> Duet:
    ordered = sorted((each for each in sent if each.intended >= begin), key=lambda each: (each.intended, each.stack))
    cap = timeout_s * 1e3
    lost = {"failed", "timeout"}
    lags = [each.lag_ms for each in ordered]
    late = sum(each.lag_ms > 1e3 for each in ordered)
    return Duet(
        rate=rate,
        seconds=seconds,
        timeout_ms=cap,
        intended=np.array([each.intended - begin for each in ordered], dtype=np.float64),
        stack=np.array([each.stack for each in ordered], dtype=np.str_),
        lag_ms=np.array([each.lag_ms for each in ordered], dtype=np.float64),
        latency_ms=np.array([cap if each.outcome in lost else min(each.latency_ms, cap) for each in ordered]),
        outcome=np.array([outcome_of(each) for each in ordered], dtype=np.str_),
        first=first_bad(ordered),
        lag_p99_ms=_p99(lags),
        shortfall=late / max(len(ordered), 1),
        driver_cpu=driver.cpu_share,
        finished=driver.finished,
        oversized=dict(Counter(each.stack for each in ordered if each.outcome == "oversized")),
    )


def first_bad(sent: Iterable[Sent]) -> dict[str, str]:
    """Per stack the first answer that was not ok, in words."""
    first: dict[str, str] = {}
    for each in sent:
        if each.outcome != "ok":
            first.setdefault(each.stack, f"{outcome_of(each)}: {each.text}")
    return first


def _p99(lags: Sequence[float]) -> float:
    return float(np.quantile(lags, 0.99)) if lags else float("nan")


def outcome_of(each: Sent) -> str:
    """How a request ended, as `Duet.outcome` says it: an oversized answer is a wrong one."""
    return "wrong" if each.outcome == "oversized" else each.outcome


def _blocks(window: Duet) -> list[tuple[Floats, Floats]]:
    """(candidate's, reference's) latencies by second of intended time."""
    second = np.floor(window.intended / BLOCK_S).astype(int)
    return [
        (
            window.latency_ms[(second == each) & (window.stack == CANDIDATE)],
            window.latency_ms[(second == each) & (window.stack == REFERENCE)],
        )
        for each in np.unique(second)
    ]


def _ratio(blocks: Sequence[tuple[Floats, Floats]], q: float) -> float:
    mine = np.concatenate([block[0] for block in blocks]) if blocks else np.empty(0)
    theirs = np.concatenate([block[1] for block in blocks]) if blocks else np.empty(0)
    if not (mine.size and theirs.size):
        return float("nan")
    return float(np.quantile(mine, q) / np.quantile(theirs, q))
