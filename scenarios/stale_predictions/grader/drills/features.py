"""Drills of the feature partitions: which one answers use, when none is valid, and when a new one comes.

The grader writes partitions of its own, with rates that tell the partition: two dates share no rate of a key.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from scenario_base.drills.alerts import alert_lines, new_alerts, parsed
from scenario_base.drills.pair import FOLLOW_S, SETTLE_S
from scenario_base.drills.rows import AGREE, Row

from harness.errors import BadAnswer, TooLate
from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.wait import until

from .pair import Pair

BEFORE_RESTART_S = 12.0
"""Where following without a restart is not what is asked, serving is restarted after this long: it then reads anew."""

EXPIRED = "features_expired"

ASKED = 12
"""New questions, each on a fresh connection, that must all show the partition."""

AROUND = (0, -2, -1, 1, 2, -28)
"""The partitions that the right one must come before, in days from it and in the order in which they are written."""

_FOLDER = re.compile(r"features/date=(\d+)-(\d+)-(\d+)/")


def keys(pair: Pair) -> list[str]:
    """The keys of a partition: those of the day before the business date in the healthy tree."""
    path = pair.bench.site.workspace / "features" / f"date={pair.bench.variant.business_date - timedelta(days=1)}"
    with (path / "part.csv").open(encoding="utf-8", newline="") as file:
        return [line["key"] for line in csv.DictReader(file)]


def rates(names: Sequence[str], mark: int) -> dict[str, float]:
    """Rates between .06 and .65; for one key, marks 0 … 58 give 59 different ones."""
    return {name: round(0.06 + (7 * n + 13 * mark) % 59 / 100, 2) for n, name in enumerate(names)}


def content(values: Mapping[str, float]) -> bytes:
    """part.csv by the brief."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("key", "late_rate", "flights"))
    writer.writerows((key, rate, 500) for key, rate in values.items())
    return out.getvalue().encode()


def put(
    stack: Stack,
    day: date,
    values: Mapping[str, float],
    *,
    marker: bool = True,
    written: Mapping[str, float] | None = None,
) -> None:
    """Write the partition of a day, its marker last; part.csv has `written` in place of what the marker says."""
    folder = f"features/date={day}"
    whole = content(values)
    stack.remove(f"{folder}/_SUCCESS.json")
    stack.write(f"{folder}/part.csv", whole if written is None else content(written))
    if marker:
        said = {"rows": len(values), "sha256": hashlib.sha256(whole).hexdigest()}
        stack.write(f"{folder}/_SUCCESS.json", json.dumps(said).encode())


def folders(stack: Stack) -> dict[str, date | None]:
    """The partition folders there are and their dates, however they are spelled."""
    found: dict[str, date | None] = {}
    for path in stack.listing("features"):
        name = path.rsplit("/", 1)[0]
        match = _FOLDER.fullmatch(f"{name}/")
        try:
            found[name] = date(*map(int, match.groups())) if match else None
        except ValueError:
            found[name] = None
    return found


def drop(stack: Stack, unwanted: Callable[[date], bool]) -> None:
    """Remove the partitions of some days."""
    for name, day in folders(stack).items():
        if day is not None and unwanted(day):
            stack.remove(name)


def drop_other_spellings(stack: Stack) -> None:
    """Remove partitions that the grader has written too, but under another spelling of their date."""
    found = folders(stack)
    ours = {day for name, day in found.items() if name == f"features/date={day}"}
    for name, day in found.items():
        if day in ours and name != f"features/date={day}":
            stack.remove(name)


def lay(pair: Pair, mark: int) -> None:
    """Precondition, first half: D-1 to D-3 are alike, and no other partition is there.

    Whichever of them a stack chooses, the rates are the same: a wrong choice costs no point of another drill.
    """
    values = rates(keys(pair), mark)
    days = [pair.today - timedelta(days=before) for before in (3, 2, 1)]

    def each(stack: Stack) -> None:
        for day in days:
            put(stack, day, values)
        drop_other_spellings(stack)
        drop(stack, lambda day: day not in days)

    pair.both(each)


def await_level(pair: Pair, mark: int) -> None:
    """Precondition, second half: new answers of both stacks show the rates that `lay` wrote."""
    values = rates(keys(pair), mark)
    pair.both(lambda stack: settle(pair, stack, lambda answer: _rates_of(answer, values)))


def settle(
    pair: Pair,
    stack: Stack,
    wrong: Callable[[Answer], str | None],
    ask: Callable[[int], list[Row]] | None = None,
) -> None:
    """Wait until new answers are right; restart serving where they do not get so by themselves. Raises BadAnswer."""
    try:
        _await(pair, stack, wrong, BEFORE_RESTART_S, ask)
    except BadAnswer as exc:
        if exc.stack != stack.name:
            raise
        pair.restart(stack)
        try:
            _await(pair, stack, wrong, SETTLE_S, ask)
        except TooLate as late:
            said = str(late)
            raise TooLate(stack.name, f"Not by itself; after a restart {said[:1].lower()}{said[1:]}") from exc


def _await(
    pair: Pair,
    stack: Stack,
    wrong: Callable[[Answer], str | None],
    seconds: float,
    ask: Callable[[int], list[Row]] | None = None,
) -> float:
    questions = ask or (lambda n: pair.fresh_for(stack, n))

    def look() -> str | None:
        for size in (2, ASKED):
            problems = [text for answer in pair.ask_each(stack, questions(size)) if (text := wrong(answer))]
            if problems:
                return f"{len(problems)} of {size} answers wrong, {problems[0]}"
        return None

    return until(stack, "new answers use the right features", look, seconds * pair.bench.pace)


# --- what an answer must show ----------------------------------------------------------------------------------------


def _rates_of(answer: Answer, values: Mapping[str, float] | None) -> str | None:
    """What is wrong with the echoed rates; `values` None: both must be null."""
    for column, part in (("carrier_late_rate", "carrier"), ("origin_late_rate", "origin")):
        right = None if values is None else values.get(f"{part}:{answer.features.get(part)}")
        said = answer.features.get(column, "missing")
        if right is None and said is not None:
            return f"{column} is {said}, not null"
        if right is not None and not (isinstance(said, float | int) and abs(said - right) <= AGREE):
            return f"{column} is {said}, not {right}"
    return None


def shows(day: date | None, values: Mapping[str, float] | None) -> Callable[[Answer], str | None]:
    """A test of an answer: it names this feature date and echoes these rates; None and None where features expired."""
    wanted = None if day is None else str(day)

    def wrong(answer: Answer) -> str | None:
        if answer.feature_date != wanted:
            return f"feature_date is {answer.feature_date or 'null'}, not {wanted or 'null'}"
        return _rates_of(answer, values)

    return wrong


# --- drills ----------------------------------------------------------------------------------------------------------


def newest_valid(pair: Pair) -> Callable[[Stack], Finding]:
    """D-1, D-2 and D-3 with rates of their own beside the older ones as they were handed in: D-1 is to be used."""
    names = keys(pair)

    def probe(stack: Stack) -> Finding:
        for before in (3, 2, 1):
            put(stack, pair.today - timedelta(days=before), rates(names, before))
        drop_other_spellings(stack)
        day = pair.today - timedelta(days=1)
        settle(pair, stack, shows(day, rates(names, 1)))
        return Finding(True, f"All {ASKED} answers use the partition of {day}.", str(day))

    return probe


def next_day(pair: Pair, mark: int) -> Callable[[Stack], Finding]:
    """The partition of the day that has ended arrives while serving runs; within 30 s answers use it."""
    names = keys(pair)

    def probe(stack: Stack) -> Finding:
        day = pair.today - timedelta(days=1)
        put(stack, day, rates(names, mark))
        drop_other_spellings(stack)
        seconds = _await(pair, stack, shows(day, rates(names, mark)), FOLLOW_S)
        return Finding(True, f"After {seconds:.1f} s all {ASKED} answers use the partition of {day}.", str(day))

    return probe


def order(pair: Pair, dates: Sequence[date]) -> Callable[[Stack], Finding]:
    """On each of these business dates: older partitions written after the right one, and two from the future.

    By text, by day of the month, by age on disk or without an upper bound, another partition than D-1 comes first. The
    probe moves the stack's business date.
    """
    names = keys(pair)

    def probe(stack: Stack) -> Finding:
        for mark, today in zip((20, 26), dates, strict=True):
            stack.advance_day(today, {})
            _order_on(pair, stack, today, {after: rates(names, mark + n) for n, after in enumerate(AROUND)})
        days = " and ".join(str(today) for today in dates)
        return Finding(True, f"On {days} all {ASKED} answers use the partition of the day before.", days)

    return probe


def _order_on(pair: Pair, stack: Stack, today: date, values: Mapping[int, Mapping[str, float]]) -> None:
    """Raises BadAnswer where answers do not use the partition of the day before, of those so many days from it."""
    day = today - timedelta(days=1)
    for after, content_of in values.items():
        put(stack, day + timedelta(days=after), content_of)
    drop_other_spellings(stack)
    settle(pair, stack, shows(day, values[0]), lambda n: pair.moved_for(stack, n, today))


def incomplete(pair: Pair) -> Callable[[Stack], Finding]:
    """D-1 without a marker, D-2 with fewer rows than its marker says, D-3 complete: D-3 is to be used.

    Then D-1 has all its rows and the marker of other ones, and D-2 is complete: D-2 is to be used. At no time is none
    valid, so nothing may be said to be expired.
    """
    names = keys(pair)
    half = names[: len(names) // 2]

    def probe(stack: Stack) -> Finding:
        oldest, middle, newest = (pair.today - timedelta(days=before) for before in (3, 2, 1))
        put(stack, oldest, rates(names, 30))
        put(stack, middle, rates(names, 31), written=rates(half, 31))
        put(stack, newest, rates(names, 32), marker=False)
        drop_other_spellings(stack)
        drop(stack, lambda each: each < oldest)
        settle(pair, stack, shows(oldest, rates(names, 30)))
        put(stack, newest, rates(names, 33), written=rates(names, 34))
        put(stack, middle, rates(names, 35))
        settle(pair, stack, shows(middle, rates(names, 35)))
        sentence = f"All {ASKED} answers used {oldest}, then {middle}: the newest complete partition."
        return Finding(True, sentence, str(middle))

    return probe


def expired_in(lines: Counter[str]) -> int:
    """How many of these lines of state/alerts.jsonl say that features are expired."""
    return sum(map(is_expired, parsed(lines)))


def is_expired(alert: Mapping[str, Any]) -> bool:
    """Whether an alert says that features are expired. What the monitor says of a window is said of no answer."""
    return alert.get("kind") == EXPIRED and alert.get("window_id") is None


def expired(pair: Pair, said: Mapping[str, Counter[str]]) -> Callable[[Stack], Finding]:
    """Only partitions older than D-3: within 30 s, without a restart, rates and feature_date are null, and it is said.

    `said` holds the alerts by stack from before any drill. Until here one partition was valid at any time: who has said
    since that features are expired says it whether they are or not.
    """
    names = keys(pair)

    def probe(stack: Stack) -> Finding:
        before = alert_lines(stack)
        oldest = pair.today - timedelta(days=3)
        for older in (6, 5, 4):
            put(stack, pair.today - timedelta(days=older), rates(names, 40 + older))
        drop(stack, lambda day: day >= oldest)
        early = expired_in(before - said[stack.name])
        if early:
            sentence = f"{early} alerts features_expired were written while a partition was valid."
            return Finding(False, sentence, f"{early} too early")
        _await(pair, stack, shows(None, None), FOLLOW_S)
        evidence: list[dict[str, Any]] = []

        def alerted() -> str | None:
            new = [each for each in new_alerts(stack, before) if is_expired(each)]
            evidence.extend(new)
            return None if new else "no alert features_expired in state/alerts.jsonl"

        until(stack, "an alert says that features are expired", alerted, FOLLOW_S * pair.bench.pace)
        saved = pair.bench.save(f"expired_refused/{stack.name}.json", evidence)
        sentence = "Rates and feature_date are null, and an alert features_expired was written."
        return Finding(True, sentence, "", (saved,))

    return probe


def recovers(pair: Pair) -> Callable[[Stack], Finding]:
    """With none valid before, the partition of D-3 comes: it is within its validity and used within 30 s."""
    names = keys(pair)

    def probe(stack: Stack) -> Finding:
        day = pair.today - timedelta(days=3)
        put(stack, day, rates(names, 50))
        seconds = _await(pair, stack, shows(day, rates(names, 50)), FOLLOW_S)
        return Finding(True, f"After {seconds:.1f} s all {ASKED} answers use the partition of {day}.", str(day))

    return probe


# --- partitions as they were handed in --------------------------------------------------------------------------------


def snapshot(stack: Stack) -> dict[str, bytes]:
    """The files of all partitions."""
    return {path: raw for path in stack.listing("features") if (raw := stack.read(path)) is not None}


def restore(stack: Stack, kept: Mapping[str, bytes]) -> None:
    """Put all partitions back as they were in a snapshot. What was there is written first: none is missing between."""
    for path, raw in kept.items():
        if stack.read(path) != raw:
            stack.write(path, raw)
    for path in stack.listing("features"):
        if path not in kept:
            stack.remove(path)
