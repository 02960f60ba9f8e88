"""Drills of the nightly job: a day's feed is missing, broken, then comes; a night runs twice; a promotion is served.

An exit code counts only together with what is seen from outside: aliases, partitions, alerts (BRIEF.md).
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from harness.errors import BadAnswer
from harness.model import Finding, JobResult, Stack
from harness.probes.http import ask
from harness.probes.registry import Version
from harness.probes.wait import until

from .features import alert_lines, folders, new_alerts
from .pair import FOLLOW_S, Pair
from .promotion import EVERY_WORKER
from .rows import AGREE, ask_each

DEADLINE_S = 60.0
"""Twice what the brief gives a night: both stacks may run theirs at once."""

DONE, REFUSED, RUNNING = 0, 2, 3
HEADER = b"carrier,flight,origin,dest,sched_dep,arr_delay_min\n"
SETTLE_S = 12.0
ROWS = 20


@dataclass(frozen=True)
class Aliases:
    """The versions behind both aliases, None where one is not set."""

    champion: str | None
    previous: str | None

    def __str__(self) -> str:
        return f"champion {self.champion}, previous {self.previous}"


@dataclass(frozen=True)
class Night:
    """One run of the job and what it left."""

    day: date
    result: JobResult
    before: Aliases
    after: Aliases
    known: tuple[Version, ...]
    made: tuple[Version, ...]
    report: Mapping[str, Any]

    @property
    def promoted(self) -> bool:
        """Whether a version was promoted by the report or by the alias."""
        return self.report.get("decision") == "promoted" or self.after.champion != self.before.champion

    @property
    def moved(self) -> bool:
        """Whether the alias moved to what could have been promoted."""
        return self.after.champion in self.challengers

    @property
    def challengers(self) -> set[str]:
        """The versions that could have been promoted: those registered by it, and the one put to its gate."""
        said = {str(self.report["challenger"])} if self.report.get("challenger") else set()
        return {version.version for version in self.made} | said

    def evidence(self) -> dict[str, Any]:
        """For Bench.save."""
        return {
            "night": str(self.day),
            "exit_code": self.result.exit_code,
            "seconds": round(self.result.seconds, 1),
            "before": self.before.__dict__,
            "after": self.after.__dict__,
            "registered": [version.version for version in self.made],
            "report": dict(self.report),
            "output": self.result.output[-4000:],
        }


def aliases(pair: Pair, stack: Stack) -> Aliases:
    """The aliases of a stack's registry as they stand."""
    registry = pair.registry[stack.name]
    found = {name: registry.alias(name) for name in ("champion", "previous")}
    return Aliases(*(each.version if each else None for each in (found["champion"], found["previous"])))


def run(pair: Pair, stack: Stack, *args: str) -> Night:
    """Run the night of the business date and look at registry and report before and after."""
    registry = pair.registry[stack.name]
    known, before = registry.versions(), aliases(pair, stack)
    result = stack.run_job("nightly", ["--date", str(pair.today), *args], DEADLINE_S)
    numbers = {version.version for version in known}
    made = tuple(version for version in registry.versions() if version.version not in numbers)
    return Night(pair.today, result, before, aliases(pair, stack), known, made, report_of(stack, pair.today))


def report_of(stack: Stack, day: date) -> dict[str, Any]:
    """state/nightly/<day>.json, or {} where there is none that can be read."""
    raw = stack.read(f"state/nightly/{day}.json")
    try:
        found = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        found = {}
    return found if isinstance(found, dict) else {}


def _ended(result: JobResult, *codes: int) -> str:
    if result.exit_code is None:
        return f"the nightly did not end within {DEADLINE_S:.0f} s"
    if result.exit_code not in codes:
        return f"the nightly ended with exit code {result.exit_code}, not {' or '.join(map(str, codes))}"
    return ""


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

        Where the one that trains did not, a worse challenger is put to the gate: a gate that decides the wrong way
        round promotes that one, and whether the alias moves can be seen (that it decides wrongly is another check's).
        """
        if stack.name not in self.promoting:
            night = self.of(stack)
            if night.result.exit_code == DONE and not night.promoted:
                night = self._run(stack, "good", "--challenger", self.pair.version(stack, "winter"))
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
        wrong = _ended(night.result, DONE)
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
            wrong = _ended(night.result, REFUSED) or _changed(stack, night, day) or _unsaid(alerts)
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
    wrong = _ended(nights.candidate.result, DONE) or _unlike(mine, theirs, day)
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
        wrong = _ended(night.result, DONE, RUNNING)
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
