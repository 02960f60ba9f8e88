"""Speed under load where the two stacks' tables differ: each answer is held against the candidate's own.

Load compares a candidate's answers with the reference's. A table that is wrong (another check's) makes every answer
another; then what the candidate says to the same questions in batches after the load is what its answers must have
been. (Before the load it would make them known to a cache.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scenario_base.drills import load
from scenario_base.drills.rows import AGREE

from harness.probes.http import ask

from .pair import Pair

SAMPLE = 40
BATCH = 250


def under_load(pair: Pair) -> None:
    """Record latency and holds_load (`scenario_base.drills.load.under_load`)."""
    load.under_load(pair, None if _alike(pair) else lambda bodies: _own(pair, bodies))


def _alike(pair: Pair) -> bool:
    """Whether both stacks answer a sample alike."""
    sample = pair.fresh(SAMPLE)
    both = pair.both(lambda stack: ask(stack, sample, timeout=30.0))
    answers = zip(both.candidate, both.reference, strict=True)
    return all(abs(mine.p_late - theirs.p_late) <= AGREE for mine, theirs in answers)


def _own(pair: Pair, bodies: Sequence[dict[str, Any]]) -> list[list[float]]:
    """What the candidate says to the same questions in batches, a list for each body."""
    asked = pair.shared.twins([row for body in bodies for row in body["rows"]])
    batches = [asked[n : n + BATCH] for n in range(0, len(asked), BATCH)]
    return [[answer.p_late] for batch in batches for answer in ask(pair.candidate, batch, timeout=30.0)]
