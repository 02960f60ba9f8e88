"""Drills of the answer cache: a repeated question must follow the version, the features and its own departure."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from scenario_base.drills.pair import FOLLOW_S, Both
from scenario_base.drills.rows import AGREE, Row, ask_each, at_another_hour, differing

from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.http import ask

from . import features
from .pair import Pair

ASKED = 30
ASKED_WIDELY, A_BATCH, TIMES = 160, 20, 6
"""Questions that are repeated under load: more than a window has, so that none comes twice in it. They are asked in
batches, each so often that of three workers with memories of their own nine in ten know it."""

VERSION, FEATURES = "answer_follows_version", "answer_follows_features"
ROUNDS = 4
PARTLY_S = 8.0
"""Serving that follows on some workers does so within two polls of a healthy one."""

MOVED, MOST = 1e-4, 0.5
"""A drill says something only where so many of the right answers moved by more than this: a question that was answered
from memory shows in each that did."""

CALLS = 4
"""Calls for one airport and day between two restarts and two moves of the business date (BRIEF.md)."""


@dataclass
class Repeats:
    """The rows that are asked again and again, and the last right answers to them.

    `boots` is how often the candidate's serving had been restarted when they were first asked: a restart may empty what
    it remembers.
    """

    rows: Sequence[Row]
    last: Sequence[Answer] = field(default_factory=tuple)
    boots: int = 0


def prime(pair: Pair) -> Repeats:
    """Ask new rows on both stacks, often enough for the memories of all workers."""
    rows = pair.fresh(ASKED)
    answers = pair.both(lambda stack: [_ask(stack, rows) for _ in range(TIMES)][-1])
    return Repeats(rows, answers.reference, len(pair.restarted))


@dataclass(frozen=True)
class Asked:
    """Rows that both stacks have answered, and when that was (monotonic seconds)."""

    rows: Sequence[Row] = ()
    at: float = 0.0


def prime_widely(pair: Pair) -> Asked:
    """Ask new rows on both stacks, often enough for the memories of all workers."""
    rows = pair.fresh(ASKED_WIDELY)
    batches = [rows[start : start + A_BATCH] for start in range(0, len(rows), A_BATCH)]

    def often(stack: Stack) -> None:
        for batch in batches * TIMES:
            _ask(stack, batch)

    pair.both(often)
    return Asked(rows, time.monotonic())


def again(pair: Pair, repeats: Repeats, what: str) -> tuple[list[str], Both[list[Answer]]]:
    """Ask the rows again on both stacks, each alone, so that every worker is met.

    Returns what is wrong with the candidate's answers, and all answers.

    Raises RuntimeError when fewer than MOST of the reference's answers moved: then the drill says nothing.
    """
    answers = pair.both(lambda stack: pair.ask_each(stack, repeats.rows))
    if repeats.last:
        pairs = zip(answers.reference, repeats.last, strict=True)
        moved = sum(abs(new.p_late - old.p_late) > MOVED for new, old in pairs)
        if moved < MOST * len(repeats.rows):
            raise RuntimeError(f"{what}: {moved} of {len(repeats.rows)} answers of the reference moved")
    repeats.last = answers.reference
    return differing(answers.candidate, answers.reference), answers


def follows_version(pair: Pair, repeats: Repeats, role: str) -> None:
    """Record answer_follows_version: another version comes without a restart; repeated rows must be that version's.

    A restart would empty a cache. Where serving does not follow the alias on every worker (another check's), see
    `_mixed`.
    """
    if pair.follows:
        pair.serve(role)
    if pair.follows:
        wrong, answers = again(pair, repeats, VERSION)
        pair.bench.record(VERSION, _finding(pair, VERSION, wrong, answers, len(repeats.rows), "under the new version"))
        return
    pair.register((role,))
    for stack in pair.stacks:
        pair.switch(stack, pair.version(stack, role))
    pair.await_version(pair.reference, pair.version(pair.reference, role), FOLLOW_S)
    pair.bench.record(VERSION, _mixed(pair, repeats, pair.version(pair.candidate, role)))


def _mixed(pair: Pair, repeats: Repeats, new: str) -> Finding:
    """Some workers follow, or none: repeated rows must come from the new version about as often as new rows do.

    Where none follows, no repeated row can show anything. That counts against a candidate only where a fault that shows
    here was put in: what cannot be seen is then as it was given.
    """
    share = _share_of_new(pair, new)
    if not share:
        return _unseen(pair, VERSION, f"Serving never answers with version {new} without a restart")
    right = {answer.row_id: answer.p_late for answer in _ask(pair.reference, repeats.rows)}
    said = [answer for _ in range(ROUNDS) for answer in ask_each(pair.candidate, repeats.rows)]
    fresh = [answer for answer in said if answer.model.version == new]
    wrong = sum(abs(answer.p_late - right[answer.row_id]) > AGREE for answer in fresh)
    saved = (pair.bench.save(f"{VERSION}/mixed.json", [answer.model_dump() for answer in said]),)
    sentence = f"{len(fresh)} of {len(said)} repeated rows came from version {new}, {wrong} of them wrong"
    sentence += f"; {share:.0%} of new rows came from it."
    return Finding(not wrong and len(fresh) >= share / 4 * len(said), sentence, f"{len(fresh)}", saved)


def _share_of_new(pair: Pair, new: str) -> float:
    """Share of new questions that a version answers, once it answers any; 0 where it does not within PARTLY_S."""
    end = time.monotonic() + PARTLY_S
    while time.monotonic() < end:
        if pair.served(pair.candidate, 12)[new]:
            seen = pair.served(pair.candidate, 48)
            return seen[new] / seen.total()
        time.sleep(0.5)
    return 0.0


def _unseen(pair: Pair, check: str, why: str) -> Finding:
    drawn = any(check in fault.shows_in for fault in pair.bench.variant.faults)
    given = "; it was given with a fault that would show here." if drawn else "."
    return Finding(not drawn, f"{why}, so no repeated row shows what it keeps{given}", "not seen")


def follows_features(pair: Pair, repeats: Repeats, levels: Sequence[int]) -> None:
    """Record answer_follows_features: the rates change between; then the same flights depart at another time.

    That is another hour of the day, and the same minute of the day after. `levels` are marks of rates. Where serving
    was restarted since the rows were first asked, be it to follow the alias or the first level, they are asked anew for
    the next: a restart may have emptied what it remembers. Where each level takes one, see `_unseen`.
    """
    for level in levels:
        features.lay(pair, level)
        features.await_level(pair, level)
        if len(pair.restarted) == repeats.boots:
            _repeated_elsewhen(pair, repeats)
            return
        repeats = prime(pair)
    pair.bench.record(FEATURES, _unseen(pair, FEATURES, "Answers follow features only after a restart"))


def _repeated_elsewhen(pair: Pair, repeats: Repeats) -> None:
    departures = {
        "under the new features": repeats,
        "at another hour": Repeats([at_another_hour(row) for row in repeats.rows]),
        "a day later": Repeats([a_day_later(row) for row in repeats.rows]),
    }
    for when, asked in departures.items():
        wrong, answers = again(pair, asked, FEATURES)
        found = _finding(pair, FEATURES, wrong, answers, len(asked.rows), when)
        if wrong:
            break
    pair.bench.record(FEATURES, found)


def a_day_later(row: Row) -> Row:
    """The same flight at the same time of the next day."""
    departure = row["sched_dep"]
    day = date.fromisoformat(departure[:10]) + timedelta(days=1)
    return row | {"row_id": f"{row['row_id']}d", "sched_dep": f"{day}{departure[10:]}"}


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
