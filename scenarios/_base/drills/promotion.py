"""Drills of promotion and rollback: the alias moves while questions keep coming, and the answers must follow."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field

from harness.errors import BadAnswer
from harness.model import Finding, Series, Stack
from harness.probes.http import Trickle, Trickled

from .pair import FOLLOW_S, Pair

EVERY_WORKER = 60
"""Answers on fresh connections; with one of two workers behind, all 60 agree once in 2**60."""

AGAIN_S = 12.0
"""How long a stack is watched that has not followed an alias within FOLLOW_S before: long enough for a healthy one."""

TRICKLE_ROWS = 500
RATE = 10.0


@dataclass
class Watched:
    """What was seen after an alias moved: `seen` holds (seconds, share of answers with the new version)."""

    version: str
    seconds: float | None = None
    problem: str = ""
    limit: float = FOLLOW_S
    trickled: Trickled | None = None
    seen: list[tuple[float, float]] = field(default_factory=list)


def promote(pair: Pair, check_id: str, role: str) -> None:
    """Move the alias to a role's version on both stacks and record `check_id`; the drill leaves both serving it."""
    pair.register((role,))
    if pair.pinned:
        sentence = f"Serving keeps to version {pair.pinned} whatever the alias says, also after a restart."
        pair.bench.record(check_id, Finding(False, sentence, f"version {pair.pinned}"))
        return
    watched: dict[str, Watched] = {}

    def probe(stack: Stack) -> Finding:
        watched[stack.name] = watch(pair, stack, pair.version(stack, role))
        return verdict(pair, stack, watched[stack.name], check_id)

    with pair.bench.activity(f"promotion drill: {check_id}", "drill"):
        pair.check_both(check_id, probe)
    mine = watched.get(pair.candidate.name)
    if mine is not None and mine.seconds is None:
        pair.follows = False
    chart(pair, check_id, watched)


def watch(pair: Pair, stack: Stack, version: str) -> Watched:
    """Move the alias while a trickle of new questions runs; watch until every answer carries the version."""
    limit = AGAIN_S if stack is pair.candidate and not pair.follows else FOLLOW_S
    watched = Watched(version, limit=limit * pair.bench.pace)
    with Trickle(stack, pair.fresh_for(stack, TRICKLE_ROWS), rate=RATE) as trickle:
        pair.switch(stack, version)
        _await(pair, stack, watched)
    watched.trickled = trickle.result
    return watched


def _await(pair: Pair, stack: Stack, watched: Watched) -> None:
    began = time.monotonic()

    def look() -> str | None:
        for size in (6, EVERY_WORKER):
            seen = pair.served(stack, size)
            watched.seen.append((time.monotonic() - began, seen[watched.version] / size))
            if set(seen) != {watched.version}:
                return f"{seen[watched.version]} of {size} answers carried version {watched.version}"
        return None

    state: str | None = "no answer"
    while time.monotonic() - began < watched.limit:
        try:
            state = look()
        except BadAnswer as exc:
            if exc.stack != stack.name:
                raise
            state = str(exc).rstrip(".")
        if state is None:
            watched.seconds = time.monotonic() - began
            return
        time.sleep(0.5)
    watched.problem = state or ""


def verdict(pair: Pair, stack: Stack, watched: Watched, check_id: str) -> Finding:
    """Followed within FOLLOW_S, on a slow machine longer, on every worker, and nothing failed meanwhile."""
    allowed = FOLLOW_S * pair.bench.pace
    evidence = (pair.bench.save(f"{check_id}/{stack.name}.json", watched.__dict__),)
    trickled = watched.trickled
    broken = trickled.failed + trickled.wrong if trickled else 0
    if watched.seconds is None:
        before = "" if watched.limit == allowed else f" (it had not followed within {allowed:.0f} s before)"
        sentence = f"After {watched.limit:.0f} s {watched.problem}{before}."
        return Finding(False, sentence, f"not within {watched.limit:.0f}", evidence)
    if trickled and broken:
        sentence = f"{broken} of {trickled.sent} requests failed while the version changed: {trickled.first}"
        return Finding(False, sentence, f"{broken} failed", evidence)
    sent = trickled.sent if trickled else 0
    sentence = (
        f"All {EVERY_WORKER} answers carried version {watched.version} after {watched.seconds:.1f} s; "
        f"0 of {sent} requests failed."
    )
    return Finding(True, sentence, f"{watched.seconds:.1f}", evidence)


def chart(pair: Pair, check_id: str, watched: dict[str, Watched]) -> None:
    """The share of answers of the new version, second by second, on both stacks."""
    seconds = tuple(float(second) for second in range(int(FOLLOW_S) + 1))
    lines = {name: _by_second(each, len(seconds)) for name, each in watched.items()}
    if lines:
        pair.bench.chart(
            Series(
                title=f"Answers with the new version ({check_id})",
                x_label="seconds after the alias moved",
                y_label="share of answers",
                x=seconds,
                lines=lines,
            )
        )


def _by_second(watched: Watched, seconds: int) -> tuple[float | None, ...]:
    shares: dict[int, list[float]] = defaultdict(list)
    for at, share in watched.seen:
        shares[min(int(at), seconds - 1)].append(share)
    return tuple(sum(found) / len(found) if (found := shares.get(n)) else None for n in range(seconds))
