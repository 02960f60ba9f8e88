"""Drills of the nightly job: a day's feed is missing, broken, then comes; a night runs twice; a promotion is served.

An exit code counts only together with what is seen from outside: aliases, partitions, alerts (BRIEF.md).
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from scenario_base.drills.alerts import alert_lines, new_alerts
from scenario_base.drills.nights import DONE, REFUSED, RUNNING, Night, aliases, not_ended, run
from scenario_base.drills.pair import FOLLOW_S
from scenario_base.drills.promotion import EVERY_WORKER
from scenario_base.drills.rows import AGREE

from harness.errors import BadAnswer
from harness.model import Finding, Stack
from harness.probes.http import ask
from harness.probes.wait import until

from .features import folders
from .pair import Pair

HEADER = b"carrier,flight,origin,dest,sched_dep,arr_delay_min\n"
LABEL, MEASURED = "arr_delay_min", "temp_f"
ROWS = 20


# --- a night that must promote ---------------------------------------------------------------------------------------


@dataclass
class Nights:
    """The nights of one day that several checks look at: each runs once on a stack, when it is first asked for."""

    pair: Pair
    trained: dict[str, Night] = field(default_factory=dict)
    given: dict[str, Night] = field(default_factory=dict)
    unbeaten: dict[str, Night] = field(default_factory=dict)

    def of(self, stack: Stack) -> Night:
        """A night with a champion of the winter, so that what it trains should be promoted."""
        if stack.name not in self.trained:
            self.trained[stack.name] = self._run(stack, "winter")
        return self.trained[stack.name]

    def of_a_given(self, stack: Stack) -> Night:
        """After that one, a night that promotes a version with a lower number.

        It is clearly better. Where it is held, a worse one is put to the gate: a gate that decides the wrong way round
        promotes it, and whether the alias moves can be seen (that it decides wrongly is another check's).
        """
        self.of(stack)
        if stack.name not in self.given:
            for champion, challenger in (("winter", "good"), ("good", "winter")):
                night = self._run(stack, champion, "--challenger", self.pair.version(stack, challenger))
                if night.result.exit_code != DONE or night.promoted:
                    break
            self.given[stack.name] = night
        return self.given[stack.name]

    def ordinary(self, stack: Stack) -> Night:
        """A night without --challenger, and a champion that nothing trained on other days than the holdout's beats."""
        if stack.name not in self.unbeaten:
            self.unbeaten[stack.name] = self._run(stack, "fitted")
        return self.unbeaten[stack.name]

    def unmoved(self, stack: Stack) -> str:
        """What is wrong with the aliases after the nights that promoted; "" where nothing is.

        Whether the one that trains promotes is the gate's.
        """
        trained, given = self.of(stack), self.of_a_given(stack)
        roles = {self.pair.version(stack, role) for role in ("good", "winter")}
        due = ((trained, {version.version for version in trained.made}), (given, roles - {given.before.champion}))
        for night, versions in due:
            wrong = not_ended(night.result, DONE) or (_unmoved(night, versions) if night.promoted else "")
            if wrong:
                return wrong
        return "" if given.promoted or trained.promoted else "nothing was promoted, whatever was put to the gate"

    def that_trained(self, stack: Stack) -> list[Night]:
        """The nights that trained, as far as they ran."""
        return [found[stack.name] for found in (self.trained, self.unbeaten) if stack.name in found]

    def _run(self, stack: Stack, champion: str, *args: str) -> Night:
        pair = self.pair
        other = "good" if champion == "winter" else "alpha"
        for alias, role in (("previous", other), ("champion", champion)):
            pair.registry[stack.name].set_alias(alias, pair.version(stack, role))
        return run(pair, stack, *args)


def _unmoved(night: Night, due: Collection[str | None]) -> str:
    if night.after.champion not in due:
        said = str(night.report.get("decision", "nothing"))[:20]
        return f"champion is {night.after.champion}, not the version that was to be promoted (its report says {said!r})"
    if night.after.previous != night.before.champion:
        return f"previous is {night.after.previous}, the champion before was {night.before.champion}"
    return ""


def moves_alias(pair: Pair, nights: Nights) -> Callable[[Stack], Finding]:
    """Champion is the version that a night promoted, the newest or not, and previous the champion before."""

    def probe(stack: Stack) -> Finding:
        wrong = nights.unmoved(stack)
        both = [nights.of(stack), nights.of_a_given(stack)]
        saved = pair.bench.save(f"nightly_moves_alias/{stack.name}.json", [night.evidence() for night in both])
        day, last = both[-1].day, both[-1]
        if wrong:
            return Finding(False, f"In the night of {day} {wrong}.", str(last.after), (saved,))
        sentence = f"The night of {day} made version {last.after.champion} champion and {last.after.previous} previous."
        return Finding(True, sentence, str(last.after), (saved,))

    return probe


def champion_served(pair: Pair, nights: Nights) -> Callable[[Stack], Finding]:
    """What a night promoted serves within 30 s.

    A serving that did not follow the alias in the drill of promotion is restarted first: that is another check's.
    """

    def probe(stack: Stack) -> Finding:
        night = nights.of_a_given(stack)
        champion = night.after.champion
        if champion is None or not night.moved:
            return Finding(False, f"The night of {night.day} promoted nothing that could be served.", "nothing")
        if stack is pair.candidate and not pair.follows:
            return _served_after_restart(pair, champion)
        seconds = pair.await_version(stack, champion, FOLLOW_S, EVERY_WORKER)
        sentence = f"{seconds:.1f} s after the night all {EVERY_WORKER} answers carried version {champion}."
        return Finding(True, sentence, f"{seconds:.1f}")

    return probe


def ordinary_held(pair: Pair, nights: Nights) -> Callable[[Stack], Finding]:
    """What a night without --challenger trained is held where the champion is better, and both aliases stay."""

    def probe(stack: Stack) -> Finding:
        night = nights.ordinary(stack)
        saved = (pair.bench.save(f"worse_held_back/ordinary-{stack.name}.json", night.evidence()),)
        said, wrong = _decided(night, "held")
        if not wrong and night.after != night.before:
            wrong = f"the aliases changed from {night.before} to {night.after}"
        if wrong:
            return Finding(False, f"A night against a champion that was fitted to its holdout: {wrong}.", said, saved)
        return Finding(True, "A night against a champion that was fitted to its holdout was held.", said, saved)

    return probe


def trained_promoted(pair: Pair, nights: Nights) -> Callable[[Stack], Finding]:
    """What a night without --challenger trained is promoted where it is clearly better: by .2 than a winter's model.

    Where the nightly was seen not to move the alias though it says so (another check's), the report alone decides.
    """

    def probe(stack: Stack) -> Finding:
        night = nights.of(stack)
        saved = (pair.bench.save(f"better_promoted/trained-{stack.name}.json", night.evidence()),)
        said, wrong = _decided(night, "promoted")
        if not wrong and not night.moved and (pair.alias_moves or stack is pair.reference):
            wrong = f"champion is still {night.after.champion}"
        if wrong:
            return Finding(False, f"What a night trained, against a model of the winter: {wrong}.", said, saved)
        return Finding(True, "What a night trained replaced a model of the winter.", said, saved)

    return probe


def _decided(night: Night, right: str) -> tuple[str, str]:
    """What a night's report says that it decided, and what is wrong with that or with how the night ended."""
    said = str(night.report.get("decision", "no report"))[:20]
    unlike = "" if said == right else f"the decision is {said!r}, not {right!r}"
    return said, not_ended(night.result, DONE) or unlike


def each(probes: Sequence[Callable[[Stack], Finding]]) -> Callable[[Stack], Finding]:
    """Probes in turn, up to the first that fails; what the last one found."""

    def probe(stack: Stack) -> Finding:
        for one in probes:
            found = one(stack)
            if not found.ok:
                break
        return found

    return probe


def _served_after_restart(pair: Pair, champion: str) -> Finding:
    if not pair.pinned:
        pair.bring(champion)
    if pair.pinned:
        sentence = f"Version {champion} is champion; that serving keeps to {pair.pinned} is judged by another check."
        return Finding(True, sentence, "not switched")
    return Finding(True, f"After a restart all answers carried version {champion}.", "after a restart")


# --- a night without its feed ----------------------------------------------------------------------------------------


def broken_feeds(pair: Pair, day: date) -> list[tuple[str, str, dict[str, bytes | None]]]:
    """The source, what is wrong with it, and the files of a day's feeds, None for one that is not there."""
    whole = pair.delivery(day)
    arrivals, weather = (f"feeds/{source}/{day}.csv" for source in ("arrivals", "weather"))
    return [
        ("arrivals", "missing", {**whole, arrivals: None}),
        ("arrivals", "only a header", {**whole, arrivals: HEADER}),
        ("arrivals", "without a column", {**whole, arrivals: without(whole[arrivals], LABEL)}),
        ("weather", "missing", {**whole, weather: None}),
        ("weather", "only a header", {**whole, weather: whole[weather].split(b"\n")[0] + b"\n"}),
        ("weather", "without a column", {**whole, weather: without(whole[weather], MEASURED)}),
    ]


def without(content: bytes, column: str) -> bytes:
    """A CSV file without one of its columns."""
    lines = list(csv.DictReader(io.StringIO(content.decode())))
    out = io.StringIO()
    writer = csv.DictWriter(
        out, [name for name in lines[0] if name != column], extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue().encode()


def missing_source(pair: Pair) -> Callable[[Stack], Finding]:
    """A feed of D-1 is missing, has no rows, or lacks a column: refused, said, and nothing changed."""
    day = pair.today - timedelta(days=1)

    def probe(stack: Stack) -> Finding:
        pair.registry[stack.name].set_alias("champion", pair.version(stack, "good"))
        seen: list[dict[str, Any]] = []
        said: dict[str, Counter[str]] = {}
        for source, what, files in broken_feeds(pair, day):
            before = said.setdefault(source, alert_lines(stack))  # of one source it may be said once
            for path, content in files.items():
                stack.remove(path) if content is None else stack.write(path, content)
            night = run(pair, stack)
            alerts = [each for each in new_alerts(stack, before) if each.get("kind") == "source_missing"]
            seen.append({"feed": f"{source}: {what}", **night.evidence(), "alerts": alerts})
            wrong = not_ended(night.result, REFUSED) or _changed(stack, night, day) or _unsaid(night, alerts)
            if wrong:
                saved = pair.bench.save(f"missing_source_said/{stack.name}.json", seen)
                sentence = f"Where {source} of {day}: {what}, {wrong}."
                return Finding(False, sentence, f"{night.result.exit_code}", (saved,))
        saved = pair.bench.save(f"missing_source_said/{stack.name}.json", seen)
        sentence = f"With a feed of {day} missing, empty or short of a column the night was refused and said so."
        return Finding(True, f"{sentence[:-1]}; nothing changed.", "2", (saved,))

    return probe


def _changed(stack: Stack, night: Night, day: date) -> str:
    if night.after != night.before:
        return f"the aliases changed from {night.before} to {night.after}"
    if partition(stack, day) is not None:
        return f"a partition of {day} was written"
    return ""


def _unsaid(night: Night, alerts: list[dict[str, Any]]) -> str:
    if night.report.get("decision") != "refused":
        return f"state/nightly/{night.day}.json says {str(night.report.get('decision'))[:20]!r}, not 'refused'"
    return "" if alerts else "no alert source_missing was written to state/alerts.jsonl"


Table = list[tuple[str, float, float]]


def partition(stack: Stack, day: date) -> Table | None:
    """The rows of the complete partition of a day (key, late rate, flights), by key; None without a marker or a
    readable file."""
    for name, each in folders(stack).items():
        raw = stack.read(f"{name}/part.csv") if each == day else None
        if raw is not None and stack.read(f"{name}/_SUCCESS.json") is not None:
            return _table(raw)
    return None


def _table(raw: bytes) -> Table | None:
    try:
        lines = csv.DictReader(io.StringIO(raw.decode()))
        return sorted((line["key"], float(line["late_rate"]), float(line["flights"])) for line in lines)
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Delivered:
    """The same night of both stacks, once its feed had come; `alarms` are the candidate's alerts of a feed missing."""

    candidate: Night
    reference: Night
    pair: Pair
    alarms: int

    def of(self, stack: Stack) -> Night:
        """The night of a stack."""
        return self.candidate if stack is self.pair.candidate else self.reference


def delivered(pair: Pair) -> Delivered:
    """Deliver the feeds of D-1 and run the night, on both stacks at once."""

    def night(stack: Stack) -> tuple[Night, int]:
        deliver(pair, stack, pair.today - timedelta(days=1))
        before = alert_lines(stack)
        done = run(pair, stack)
        return done, sum(each.get("kind") == "source_missing" for each in new_alerts(stack, before))

    nights = pair.both(night)
    (mine, alarms), (theirs, _) = nights.candidate, nights.reference
    return Delivered(mine, theirs, pair, alarms)


def recovers(pair: Pair, nights: Delivered) -> None:
    """Record missing_source_recovers: the night runs through, and its partition is the reference's."""
    check = "missing_source_recovers"
    day = pair.today - timedelta(days=1)
    mine, theirs = partition(pair.candidate, day), partition(pair.reference, day)
    if theirs is None or nights.reference.result.exit_code != DONE:
        raise RuntimeError(f"the reference's night of {pair.today} did not run through")
    saved = (pair.bench.save(f"{check}/night.json", nights.candidate.evidence()),)
    wrong = not_ended(nights.candidate.result, DONE) or _unlike(mine, theirs, day)
    if not wrong and nights.alarms:
        wrong = "the night said once more that a source is missing"
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
    if [key for key, *_ in mine] != [key for key, *_ in theirs]:
        return f"the partition of {day} has {len(mine)} rows that are not those of the {len(theirs)} right keys"
    for (key, *said), (_, *right) in zip(mine, theirs, strict=True):
        if not (abs(said[0] - right[0]) <= AGREE and said[1] == right[1]):  # NaN agrees with nothing
            return f"{key} of {day} has rate and flights {said} where {right} is right"
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
    """Wait until answers show the last night's champion and features: 30 seconds, where they get to show them at all.

    What does not follow within that time does not move beneath the drill either; it is another check's.
    """
    champion = aliases(pair, stack).champion

    def look() -> str | None:
        answers = pair.ask_each(stack, pair.fresh_for(stack, 8))
        seen = Counter((answer.model.version, answer.feature_date) for answer in answers)
        return None if set(seen) == {(champion, str(day))} else f"{dict(seen)}"

    seconds = FOLLOW_S * pair.bench.pace if pair.follows else 2.0
    with suppress(BadAnswer):
        until(stack, "answers show the last night's work", look, seconds)
