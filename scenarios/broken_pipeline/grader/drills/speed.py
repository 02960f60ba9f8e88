"""Speed under load where the two stacks' tables differ: each answer is held against the candidate's own.

Load compares a candidate's answers with the reference's. A table that is wrong (another check's) makes every answer
another; then what the candidate said to the same questions in a batch before the load is what its answers must be.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from scenario_base.drills import load as shared
from scenario_base.drills.load import FAILED_AT_MOST, LOOKS, Promise
from scenario_base.drills.rows import AGREE, Row

from harness.model import Finding
from harness.probes import load
from harness.probes.http import ask
from harness.probes.load import CANDIDATE, REFERENCE, Duet

from .pair import Pair

SAMPLE = 40
BATCH = 250


def measure(pair: Pair, promise: Promise) -> None:
    """Record a promise's check, as `scenario_base.drills.load.measure` does where both stacks answer alike."""
    sample = pair.fresh(SAMPLE)
    both = pair.both(lambda stack: ask(stack, sample, timeout=30.0))
    answers = zip(both.candidate, both.reference, strict=True)
    if all(abs(mine.p_late - theirs.p_late) <= AGREE for mine, theirs in answers):
        shared.measure(pair, promise)
        return
    windows: list[Duet] = []
    finding = Finding(None, "Nothing was measured.")
    for look in range(LOOKS):
        windows.append(_duet(pair, promise, look))
        finding = _judge(pair, promise, load.join(*windows))
        if finding.ok is not None:
            break
    pair.bench.record(promise.check, finding)


def _duet(pair: Pair, promise: Promise, look: int) -> Duet:
    rows = pair.fresh(int(promise.rate * (promise.seconds + 1.0) * 1.3) + 20)
    urls = {CANDIDATE: pair.candidate.endpoint("serving"), REFERENCE: pair.reference.endpoint("serving")}
    bodies = [{"rows": [row]} for row in rows]
    seed = zlib.crc32(f"{pair.seed}/{promise.check} {look}".encode())
    return load.duet(urls, bodies, _own(pair, rows), promise.rate, promise.seconds, seed)


def _own(pair: Pair, rows: Sequence[Row]) -> list[list[float]]:
    """What the candidate says to the same questions in batches, a list for each body."""
    asked = pair.shared.twins(rows)
    batches = [asked[n : n + BATCH] for n in range(0, len(asked), BATCH)]
    return [[answer.p_late] for batch in batches for answer in ask(pair.candidate, batch, timeout=30.0)]


def _judge(pair: Pair, promise: Promise, window: Duet) -> Finding:
    interval = load.ratio(window, promise.q, zlib.crc32(f"{pair.seed}/{promise.check}".encode()))
    saved = (pair.bench.save(f"{promise.check}/window.json", window.evidence() | {"ratio": interval}),)
    invalid = load.valid(window)
    if invalid:
        return Finding(None, f"The measurement says nothing: {invalid}.", "", saved)
    mine, theirs = window.outcomes(CANDIDATE), window.outcomes(REFERENCE)
    unanswered = {name: found["failed"] + found["timeout"] for name, found in ((CANDIDATE, mine), (REFERENCE, theirs))}
    first = window.first.get(CANDIDATE, "")
    if mine["wrong"]:
        sentence = f"{mine['wrong']} of {mine.total()} answers are not those that were given before: {first}."
        return Finding(False, sentence, str(interval), saved)
    if unanswered[CANDIDATE] > FAILED_AT_MOST * mine.total():
        ok = None if unanswered[REFERENCE] > FAILED_AT_MOST * theirs.total() else False
        sentence = f"{unanswered[CANDIDATE]} of {mine.total()} requests failed; the first: {first}."
        return Finding(ok, sentence, str(interval), saved)
    sentence = (
        f"p{promise.q * 100:.0f} {window.quantile(CANDIDATE, promise.q):.0f} ms against the reference's "
        f"{window.quantile(REFERENCE, promise.q):.0f} ms at {promise.rate:.0f} requests a second: ratio {interval}."
    )
    within = interval.high <= promise.limit or (False if interval.low > promise.limit else None)
    return Finding(within, sentence, str(interval), saved)
