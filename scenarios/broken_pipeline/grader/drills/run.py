"""What one grading does, step by step, on both stacks; the phases of `checks` put the steps in order.

Each step keeps what it saw by stack, errors included, so that a check can be judged on either stack without doing
anything again, and a step that failed costs only the checks that look at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Generic, TypeVar

import pandas as pd
from scenario_base.drills import nights
from scenario_base.drills.alerts import alert_lines, new_alerts
from scenario_base.drills.nights import Night
from scenario_base.drills.pair import FOLLOW_S
from scenario_base.drills.rows import Row

from harness.errors import BadAnswer, StackError
from harness.model import Bench, Finding, Stack, Variant
from harness.probes.http import ask
from harness.probes.registry import Version
from harness.probes.wait import until

from . import artifacts, corrections, training
from .inputs import Models, Skies
from .landed import Compared, Judged
from .pair import Pair, coming
from .serving import Said
from .ticks import First, Plan, Second, Third
from .training import Likeness, Made
from .truth import Truth

T = TypeVar("T")

HIDDEN_DIGEST = "0000000 not to be found for a while"
"""What a drill puts in the place of a version's digests, so that the same data is trained on once more."""

KILOMETRES_AS_MILES, VALIDATION = "units/distance_unconverted", "validation"

PINNED_S = 2.0
"""A serving that follows nothing is not waited for."""


class Seen(Generic[T]):
    """One thing of each stack, or the stack's own error in its place."""

    def __init__(self, by_stack: Mapping[str, T | StackError]) -> None:
        self._by_stack = by_stack

    def of(self, stack: Stack) -> T:
        """The thing of a stack. Raises the StackError that came in its place."""
        found = self._by_stack[stack.name]
        if isinstance(found, StackError):
            raise found
        return found


def seen(pair: Pair, step: Callable[[Stack], T]) -> Seen[T]:
    """Run a step on both stacks at once; a StackError of a stack is kept, anything else is raised."""

    def attempt(stack: Stack) -> T | StackError:
        try:
            return step(stack)
        except StackError as exc:
            if exc.stack != stack.name:
                raise
            return exc

    both = pair.both(attempt)
    return Seen({pair.candidate.name: both.candidate, pair.reference.name: both.reference})


@dataclass(frozen=True)
class Tick:
    """What was seen of a night: its job, and table, log and new alerts after it. `truth` is the right table.

    `logs` are the log of answers before and after the night.
    """

    day: date
    truth: Truth
    nights: Seen[Night]
    tables: Seen[pd.DataFrame]
    logs: tuple[Seen[corrections.Log], Seen[corrections.Log]]
    alerts: Seen[list[dict[str, Any]]]


@dataclass
class Run:
    """The pair, and what steps leave for later ones.

    challenged  nights with --challenger, by stack
    recoded     in how many files of a stack another line of code was put before the version kept as "relabelled"
    """

    pair: Pair
    ticks: dict[str, Tick] = field(default_factory=dict)
    made: dict[str, Seen[Made]] = field(default_factory=dict)
    answers: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    resolved: dict[str, Finding] = field(default_factory=dict)
    challenged: dict[str, list[Night]] = field(default_factory=dict)
    recoded: Seen[int] | None = None
    first: First | None = None
    second: Second | None = None
    third: Third | None = None

    def __post_init__(self) -> None:
        bench = self.pair.bench
        self.skies, self.models = Skies(bench.site.private), Models(bench.site.private)
        self.plan = Plan(
            bench.variant.values, self.pair.seed, bench.variant.business_date, _range_widened(bench.variant)
        )
        self._compared: dict[tuple[str, str], Compared] = {}

    @property
    def bench(self) -> Bench:
        """The bench of the run."""
        return self.pair.bench

    def day(self, days: int) -> date:
        """The day so many days after the business date that the attempt began with."""
        return self.bench.variant.business_date + timedelta(days=days)

    def delivered_first(self) -> First:
        """The first tick. Raises RuntimeError where nothing is drawn yet."""
        if self.first is None:
            raise RuntimeError("the first tick is not drawn yet")
        return self.first

    def relabelled(self) -> tuple[date, ...]:
        """The days whose labels the first tick changes."""
        return self.delivered_first().relabelled

    # --- results ----------------------------------------------------------------------------------------------------

    def judge(self, check: str, judge: Callable[[Stack], Judged]) -> None:
        """Give a check its result, if wanted: the candidate's judgement, and the reference's too where that fails."""
        if self.bench.wants(check):
            self.bench.check(check, lambda stack: self._finding(check, stack, judge(stack)))

    def _finding(self, check: str, stack: Stack, judged: Judged) -> Finding:
        saved: tuple[str, ...] = ()
        if judged.details is not None:
            saved = (self.bench.save(f"{check}/{stack.name}.json", judged.details),)
        return Finding(judged.ok, judged.sentence, judged.measured, saved)

    def compared(self, name: str, stack: Stack) -> Compared:
        """A stack's table after a tick beside the truth, of the days that tables are compared for."""
        if (name, stack.name) not in self._compared:
            tick = self.ticks[name]
            truth = tick.truth.between(self.pair.compared_from(), tick.day - timedelta(days=1))
            self._compared[name, stack.name] = Compared(tick.tables.of(stack), truth)
        return self._compared[name, stack.name]

    # --- nights -----------------------------------------------------------------------------------------------------

    def night(self, name: str) -> Tick:
        """Run the night of the business date on both stacks at once, and look at what it left."""
        pair = self.pair
        logs, alerts = seen(pair, corrections.read), seen(pair, alert_lines)
        with self.bench.activity(f"the night of {pair.today}", "drill"):
            found, truth = self.bench.side_by_side(
                lambda: seen(pair, lambda stack: nights.run(pair, stack)), pair.truth
            )
            tables, after = seen(pair, pair.table), seen(pair, corrections.read)
        new = seen(pair, lambda stack: new_alerts(stack, alerts.of(stack)))
        self.ticks[name] = Tick(pair.today, truth, found, tables, (logs, after), new)
        seen(pair, lambda stack: self.bench.save(f"nights/{name}-{stack.name}.json", found.of(stack).evidence()))
        return self.ticks[name]

    def coming(self, days: int) -> dict[str, bytes]:
        """What the story delivers so many nights after the business date that the attempt began with."""
        return coming(self.bench.site.private, self.day(days))

    def settled(self, stack: Stack) -> None:
        """Wait until answers show the last night's work, or the time for it is over: what serves is served then."""
        pair = self.pair
        champion = nights.aliases(pair, stack).champion
        newest = str(pair.today - timedelta(days=1))

        def look() -> str | None:
            answers = pair.ask_each(stack, pair.fresh_for(stack, 12))
            shown = Counter((answer.model.version, answer.feature_date) for answer in answers)
            return None if set(shown) == {(champion, newest)} else f"{dict(shown)}"

        seconds = FOLLOW_S if stack is pair.reference or (pair.follows and not pair.pinned) else PINNED_S
        try:
            until(stack, "answers show the last night's work", look, seconds * self.bench.pace)
        except BadAnswer as exc:
            if exc.stack != stack.name or stack is pair.reference:
                raise

    # --- answers ----------------------------------------------------------------------------------------------------

    def ask(self, rows: Sequence[Row]) -> Seen[Said]:
        """Both stacks' answers to the same rows, in one request."""
        return seen(self.pair, lambda stack: Said(rows, ask(stack, rows, timeout=30.0)))

    def answer(self, name: str, rows: Sequence[Row]) -> None:
        """Keep the risks that the version kept as `name` gives, served on both stacks; none where it is not served.

        The rows are asked as twins, so that no question comes twice.
        """
        versions = {stack.name: self.made[name].of(stack).version for stack in self.pair.stacks}
        if self.pair.serve_own(versions):
            found = self.ask(self.pair.shared.twins(rows))
            risks = {stack.name: [a.p_late for a in found.of(stack).answers] for stack in self.pair.stacks}
            self.answers[name] = risks

    # --- trainings --------------------------------------------------------------------------------------------------

    def train(self, name: str, as_of: date, tick: str, again: bool = False) -> None:
        """Run bin/train on both stacks and keep what came of it as `name`.

        `again`: what was made of the same data before is not to be found, so that it must be trained anew.
        """

        def each(stack: Stack) -> Made:
            hidden = self._hide(stack, as_of) if again else {}
            try:
                trained = self.pair.train(stack, as_of)
            finally:
                for version, tags in hidden.items():
                    artifacts.set_tags(stack, self._version(stack, version), tags)
            if trained.version is None or trained.problem:
                end = trained.result.output[-300:].strip().replace("\n", " ")
                raise StackError(stack.name, f"{trained.problem[0].upper()}{trained.problem[1:]}: {end}")
            return self.of_version(stack, self._version(stack, trained.version.version), as_of, tick)

        with self.bench.activity(f"a training as of {as_of}", "drill"):
            self.made[name] = seen(self.pair, each)
        seen(self.pair, lambda stack: self._saved(name, stack))

    def _saved(self, name: str, stack: Stack) -> str:
        return self.bench.save(f"trainings/{name}-{stack.name}.json", self.made[name].of(stack).evidence())

    def _hide(self, stack: Stack, as_of: date) -> dict[str, dict[str, str]]:
        """Give the versions of this day's training other digests; returns the tags to give back, by version."""
        day = str(as_of - timedelta(days=1))
        ours = {each.version for each in self.pair.versions[stack.name].values()}
        known: dict[str, dict[str, str]] = {}
        for version in self.pair.registry[stack.name].versions():
            if version.tags.get("holdout_to", "")[:10] == day and version.version not in ours:
                tags = {name: version.tags[name] for name in ("data_digest", "code_digest") if name in version.tags}
                known[version.version] = tags
                artifacts.set_tags(stack, version, dict.fromkeys(tags, HIDDEN_DIGEST))
        return known

    def _version(self, stack: Stack, number: str) -> Version:
        found = self.pair.registry[stack.name].version(number) if number.isdigit() else None
        if found is None:
            raise StackError(stack.name, f"The registry has no version {number[:20] or 'that a night made'}.")
        return found

    def of_version(self, stack: Stack, version: Version, as_of: date, tick: str) -> Made:
        """What is known of a version that was trained as of a day on the table after a tick."""
        run = self.pair.registry[stack.name].run(version.run_id)
        declared, inputs = artifacts.declared(stack, run), artifacts.inputs_of(stack, version)
        return Made(as_of, version, run, declared, inputs, self.ticks[tick].tables.of(stack))

    def made_by_night(self, name: str, tick: str) -> None:
        """Keep the version that a tick's night trained as `name`; where it registered none, by its report.

        Where that names none either, what it would train may be champion already.
        """

        def each(stack: Stack) -> Made:
            night = self.ticks[tick].nights.of(stack)
            made = max((int(version.version) for version in night.made), default=None)
            found = night.report.get("challenger") or night.after.champion or ""
            number = str(found) if made is None else str(made)
            return self.of_version(stack, self._version(stack, number), night.day, tick)

        self.made[name] = seen(self.pair, each)
        seen(self.pair, lambda stack: self._saved(name, stack))

    def likeness(self, stack: Stack, one: str, two: str) -> Likeness | None:
        """How far two kept versions' answers are apart: as served, and as declared of their holdouts; the larger."""
        found = []
        if one in self.answers and two in self.answers:
            first, second = self.answers[one][stack.name], self.answers[two][stack.name]
            found.append(training.likeness(first, second, f"{len(first)} questions"))
        declared = training.declared_likeness(self.made[one].of(stack), self.made[two].of(stack))
        if declared is not None:
            found.append(declared)
        return max(found, key=lambda each: each.largest, default=None)


def _range_widened(variant: Variant) -> bool:
    """Whether the variant's code lets longer distances pass than the brief, and no fault of validation is graded."""
    return any(fault.id == KILOMETRES_AS_MILES for fault in variant.faults) and all(
        fault.slot != VALIDATION for fault in variant.faults
    )


def first_wrong(*judged: Judged) -> Judged:
    """The first of some judgements that failed, else one that all passed."""
    for each in judged:
        if not each.ok:
            return each
    return Judged(True, " ".join(each.sentence for each in judged), judged[0].measured, judged[0].details)
