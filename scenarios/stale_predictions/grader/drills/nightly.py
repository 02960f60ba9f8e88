"""Drills of the nightly job: a day's feed is missing, broken, then comes; a night runs twice; a promotion is served.

An exit code counts only together with what is seen from outside: aliases, partitions, alerts (BRIEF.md).
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from scenario_base.drills.alerts import alert_lines, new_alerts
from scenario_base.drills.nights import DONE, REFUSED, RUNNING, Night, aliases, not_ended, run
from scenario_base.drills.pair import FOLLOW_S
from scenario_base.drills.promotion import EVERY_WORKER
from scenario_base.drills.rows import AGREE, ask_each

from harness.errors import BadAnswer
from harness.model import Finding, Stack
from harness.probes.http import ask
from harness.probes.wait import until

from .features import folders
from .pair import Pair

HEADER = b"carrier,flight,origin,dest,sched_dep,arr_delay_min\n"
SETTLE_S = 12.0
ROWS = 20


# --- a night that must promote ---------------------------------------------------------------------------------------


@dataclass
class Nights:
    """The nights that several checks look at: each runs once on a stack, when it is first asked for."""

    pair: Pair
    trained: dict[str, Night] = field(default_factory=dict)
    promoting: dict[str, Night] = field(default_factory=dict)

    def of(self, stack: Stack) -> Night:
        """A night with a champion of the winter, so that what it trains should be promoted."""
        if stack.name not in self.trained:
            self.trained[stack.name] = self._run(stack, "winter")
        return self.trained[stack.name]

    def that_promotes(self, stack: Stack) -> Night:
        """A night that promotes something.

        The one that trains need not: an honest gate may ask more of what it trained on these days. Then a clearly
        better challenger is put to it, and where that is held too, a worse one: a gate that decides the wrong way round
        promotes it, and whether the alias moves can be seen (that it decides wrongly is another check's).
        """
        if stack.name not in self.promoting:
            night = self.of(stack)
            for champion, challenger in (("winter", "good"), ("good", "winter")):
                if night.result.exit_code == DONE and not night.promoted:
                    night = self._run(stack, champion, "--challenger", self.pair.version(stack, challenger))
            self.promoting[stack.name] = night
        return self.promoting[stack.name]

    def _run(self, stack: Stack, champion: str, *args: str) -> Night:
        pair = self.pair
        other = "good" if champion == "winter" else "alpha"
        for alias, role in (("previous", other), ("champion", champion)):
            pair.registry[stack.name].set_alias(alias, pair.version(stack, role))
        return run(pair, stack, *args)


def moves_alias(pair: Pair, nights: Nights) -> Callable[[Stack], Finding]:
    """Champion is the version that the night promoted, previous the champion before."""

    def probe(stack: Stack) -> Finding:
        night = nights.that_promotes(stack)
        saved = (pair.bench.save(f"nightly_moves_alias/{stack.name}.json", night.evidence()),)
        wrong = not_ended(night.result, DONE)
        if not wrong and not night.moved:
            said = str(night.report.get("decision", "nothing"))[:20]
            wrong = f"champion is {night.after.champion}, no version of that night (its report says {said!r})"
        if not wrong and night.after.previous != night.before.champion:
            wrong = f"previous is {night.after.previous}, the champion before was {night.before.champion}"
        if wrong:
            return Finding(False, f"In the night of {night.day} {wrong}.", str(night.after), saved)
        new_one, old_one = night.after.champion, night.before.champion
        sentence = f"The night of {night.day} made version {new_one} champion and {old_one} previous."
        return Finding(True, sentence, str(night.after), saved)

    return probe


def champion_served(pair: Pair, nights: Nights) -> Callable[[Stack], Finding]:
    """What the night promoted serves within 30 s.

    A serving that did not follow the alias in the drill of promotion is restarted first: that is another check's.
    """

    def probe(stack: Stack) -> Finding:
        night = nights.that_promotes(stack)
        champion = night.after.champion
        if champion is None or not night.moved:
            return Finding(False, f"The night of {night.day} promoted nothing that could be served.", "nothing")
        if stack is pair.candidate and not pair.follows:
            return _served_after_restart(pair, champion)
        seconds = pair.await_version(stack, champion, FOLLOW_S, EVERY_WORKER)
        sentence = f"{seconds:.1f} s after the night all {EVERY_WORKER} answers carried version {champion}."
        return Finding(True, sentence, f"{seconds:.1f}")

    return probe


def _served_after_restart(pair: Pair, champion: str) -> Finding:
    if not pair.pinned:
        pair.bring(champion)
    if pair.pinned:
        sentence = f"Version {champion} is champion; that serving keeps to {pair.pinned} is judged by another check."
        return Finding(True, sentence, "not switched")
    return Finding(True, f"After a restart all answers carried version {champion}.", "after a restart")


# --- a night without its feed ----------------------------------------------------------------------------------------


def missing_source(pair: Pair) -> Callable[[Stack], Finding]:
    """The arrivals of D-1 are missing, then there is only their header: refused, said, and nothing changed."""
    day = pair.today - timedelta(days=1)
    feed = f"feeds/arrivals/{day}.csv"

    def probe(stack: Stack) -> Finding:
        pair.registry[stack.name].set_alias("champion", pair.version(stack, "good"))
        before = alert_lines(stack)
        seen = []
        for what, content in (("is missing", None), ("has only a header", HEADER)):
            stack.remove(feed) if content is None else stack.write(feed, content)
            night = run(pair, stack)
            alerts = [each for each in new_alerts(stack, before) if each.get("kind") == "source_missing"]
            seen.append({"feed": what, **night.evidence(), "alerts": alerts})
            wrong = not_ended(night.result, REFUSED) or _changed(stack, night, day) or _unsaid(alerts)
            if wrong:
                saved = pair.bench.save(f"missing_source_said/{stack.name}.json", seen)
                return Finding(False, f"Where {feed} {what}, {wrong}.", f"{night.result.exit_code}", (saved,))
        saved = pair.bench.save(f"missing_source_said/{stack.name}.json", seen)
        sentence = f"Without {feed}, and with its header only, the night was refused and said so; nothing changed."
        return Finding(True, sentence, "2", (saved,))

    return probe


def _changed(stack: Stack, night: Night, day: date) -> str:
    if night.after.champion != night.before.champion:
        return f"champion moved from {night.before.champion} to {night.after.champion}"
    if partition(stack, day) is not None:
        return f"a partition of {day} was written"
    return ""


def _unsaid(alerts: list[dict[str, Any]]) -> str:
    return "" if alerts else "no alert source_missing was written to state/alerts.jsonl"


Table = dict[str, tuple[float, float]]


def partition(stack: Stack, day: date) -> Table | None:
    """The complete partition of a day as key -> (late rate, flights); None without a marker or a readable file."""
    for name, each in folders(stack).items():
        raw = stack.read(f"{name}/part.csv") if each == day else None
        if raw is not None and stack.read(f"{name}/_SUCCESS.json") is not None:
            return _table(raw)
    return None


def _table(raw: bytes) -> Table | None:
    try:
        lines = csv.DictReader(io.StringIO(raw.decode()))
        return {line["key"]: (float(line["late_rate"]), float(line["flights"])) for line in lines}
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Delivered:
    """The same night of both stacks, once its feed had come."""

    candidate: Night
    reference: Night
    pair: Pair

    def of(self, stack: Stack) -> Night:
        """The night of a stack."""
        return self.candidate if stack is self.pair.candidate else self.reference


def delivered(pair: Pair) -> Delivered:
    """Deliver the feeds of D-1 and run the night, on both stacks at once."""

    def night(stack: Stack) -> Night:
        deliver(pair, stack, pair.today - timedelta(days=1))
        return run(pair, stack)

    nights = pair.both(night)
    return Delivered(nights.candidate, nights.reference, pair)


def recovers(pair: Pair, nights: Delivered) -> None:
    """Record missing_source_recovers: the night runs through, and its partition is the reference's."""
    check = "missing_source_recovers"
    day = pair.today - timedelta(days=1)
    mine, theirs = partition(pair.candidate, day), partition(pair.reference, day)
    if theirs is None or nights.reference.result.exit_code != DONE:
        raise RuntimeError(f"the reference's night of {pair.today} did not run through")
    saved = (pair.bench.save(f"{check}/night.json", nights.candidate.evidence()),)
    wrong = not_ended(nights.candidate.result, DONE) or _unlike(mine, theirs, day)
    if wrong:
        pair.bench.record(check, Finding(False, f"With the feed delivered, {wrong}.", "", saved))
        return
    sentence = f"With the feed delivered the night of {pair.today} ran through; the partition of {day} is right."
    pair.bench.record(check, Finding(True, sentence, f"{len(theirs)} rows", saved))


def deliver(pair: Pair, stack: Stack, day: date) -> None:
    """Put the feeds of a day in place."""
    for path, content in pair.delivery(day).items():
        stack.write(path, content)


def _unlike(mine: Table | None, theirs: Table, day: date) -> str:
    if mine is None:
        return f"there is no complete partition of {day}"
    if set(mine) != set(theirs):
        return f"the partition of {day} has {len(mine)} keys where {len(theirs)} are right"
    for key, right in theirs.items():
        if abs(mine[key][0] - right[0]) > AGREE or mine[key][1] != right[1]:
            return f"{key} of {day} has rate and flights {mine[key]} where {right} is right"
    return ""


def second_run(pair: Pair) -> Callable[[Stack], Finding]:
    """After a night that ran through, the same night again: rows, aliases and answers are as before."""
    day = pair.today - timedelta(days=1)

    def probe(stack: Stack) -> Finding:
        if partition(stack, day) is None:
            deliver(pair, stack, day)
            run(pair, stack)
        _settle(pair, stack, day)
        rows = pair.fresh_for(stack, ROWS)
        before = ask(stack, rows)
        table = partition(stack, day)
        night = run(pair, stack)
        after = ask(stack, pair.twins_for(stack, rows))
        saved = (pair.bench.save(f"second_run_same/{stack.name}.json", night.evidence()),)
        wrong = not_ended(night.result, DONE, RUNNING)
        if not wrong and table is None:
            wrong = f"there is no partition of {day} to compare with"
        if not wrong and partition(stack, day) != table:
            wrong = f"rows of the partition of {day} changed"
        if not wrong and night.after != night.before:
            wrong = f"the aliases changed from {night.before} to {night.after}"
        changed = sum(abs(a.p_late - b.p_late) > AGREE for a, b in zip(before, after, strict=True))
        if not wrong and changed:
            wrong = f"{changed} of {ROWS} answers changed"
        if wrong:
            return Finding(False, f"When the night of {pair.today} ran again, {wrong}.", "", saved)
        sentence = f"The night of {pair.today} ran again and changed no row, alias or answer."
        return Finding(True, sentence, "0 changes", saved)

    return probe


def _settle(pair: Pair, stack: Stack, day: date) -> None:
    """Wait until answers show the last night's champion and features, where they get to show them at all."""
    champion = aliases(pair, stack).champion

    def look() -> str | None:
        answers = ask_each(stack, pair.fresh_for(stack, 8))
        seen = Counter((answer.model.version, answer.feature_date) for answer in answers)
        return None if set(seen) == {(champion, str(day))} else f"{dict(seen)}"

    with suppress(BadAnswer):
        until(stack, "answers show the last night's work", look, SETTLE_S if pair.follows else 2.0)
