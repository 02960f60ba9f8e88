"""Drills of the answer cache: a repeated question must follow the version, the features and its own departure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.http import ask

from .pair import Both, Pair
from .rows import Row, at_another_hour, differing

ASKED = 30
MOVED = 1e-4
"""A drill says something only where the right answer moved by more than this."""

CALLS = 4
"""Calls for one airport and day between two restarts and two moves of the business date (BRIEF.md)."""


@dataclass
class Repeats:
    """The rows that are asked again and again, and the last right answers to them."""

    rows: Sequence[Row]
    last: Sequence[Answer] = field(default_factory=tuple)


def prime(pair: Pair) -> Repeats:
    """Ask new rows twice on both stacks, so that any cache holds their answers."""
    rows = pair.fresh(ASKED)

    def twice(stack: Stack) -> Sequence[Answer]:
        _ask(stack, rows)
        return _ask(stack, rows)

    return Repeats(rows, pair.both(twice).reference)


def again(pair: Pair, repeats: Repeats, what: str) -> tuple[list[str], Both[list[Answer]]]:
    """Ask the rows again on both stacks; returns what is wrong with the candidate's answers, and all answers.

    Raises RuntimeError when the reference's answers did not move: then the drill says nothing.
    """
    answers = pair.both(lambda stack: _ask(stack, repeats.rows))
    if repeats.last:
        pairs = zip(answers.reference, repeats.last, strict=True)
        if min(abs(new.p_late - old.p_late) for new, old in pairs) <= MOVED:
            raise RuntimeError(f"{what}: the reference's answers did not move")
    repeats.last = answers.reference
    return differing(answers.candidate, answers.reference), answers


def follows_version(pair: Pair, repeats: Repeats, switched: bool) -> None:
    """Record answer_follows_version: the version changed between, the repeated rows must be the new version's."""
    check = "answer_follows_version"
    if not switched:
        sentence = f"Serving keeps to version {pair.pinned}: no repeated question is ever answered by another version."
        pair.bench.record(check, Finding(False, sentence, "0 switches"))
        return
    wrong, answers = again(pair, repeats, check)
    pair.bench.record(check, _finding(pair, check, wrong, answers, len(repeats.rows), "under the new version"))


def follows_features(pair: Pair, repeats: Repeats) -> None:
    """Record answer_follows_features: the rates changed between; then the same flights depart at another hour."""
    check = "answer_follows_features"
    wrong, answers = again(pair, repeats, check)
    if wrong:
        pair.bench.record(check, _finding(pair, check, wrong, answers, len(repeats.rows), "under the new features"))
        return
    others = Repeats([at_another_hour(row) for row in repeats.rows])
    wrong, answers = again(pair, others, check)
    pair.bench.record(check, _finding(pair, check, wrong, answers, len(others.rows), "at another hour"))


def _ask(stack: Stack, rows: Sequence[Row]) -> list[Answer]:
    return ask(stack, rows, timeout=15.0)


def _finding(
    pair: Pair, check: str, wrong: Sequence[str], answers: Both[list[Answer]], asked: int, when: str
) -> Finding:
    table = [
        {"row": mine.row_id, "candidate": mine.model_dump(), "reference": theirs.model_dump()}
        for mine, theirs in zip(answers.candidate, answers.reference, strict=True)
    ]
    evidence = (pair.bench.save(f"{check}/{when.replace(' ', '_')}.json", table),)
    if wrong:
        sentence = f"{len(wrong)} of {asked} repeated rows are wrong {when}: {wrong[0]}."
        return Finding(False, sentence, f"{len(wrong)}", evidence)
    return Finding(True, f"All {asked} repeated rows are right {when}.", "0", evidence)


def budget(pair: Pair) -> None:
    """Record call_budget from the provider's own count, over all questions since the stack was booted."""
    calls = pair.calls(pair.candidate)
    counts: Counter[str] = Counter()
    for call in calls:
        boots = sum(int(str(call["seq"])) > mark for mark in pair.restarted)
        counts[f"{call['origin']} {call['date']}, asked on {call['business_date']} after {boots} restarts"] += 1
    evidence = (pair.bench.save("call_budget/calls.json", dict(counts.most_common())),)
    most, count = counts.most_common(1)[0] if counts else ("nothing", 0)
    sentence = f"At most {count} calls for one airport and day ({most})."
    if not calls:
        sentence = "The provider was never asked, though weather was due."
    pair.bench.record("call_budget", Finding(0 < count <= CALLS, sentence, f"{count}", evidence))
