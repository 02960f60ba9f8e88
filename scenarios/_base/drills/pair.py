"""The two stacks of a grading side by side: what both serve, and the preconditions that drills share.

A drill compares answers only while both stacks serve the same model bytes (a role: alpha, beta, …), registered by the
grader. Where the candidate's serving does not follow the alias, it is restarted, which loads the alias at boot; where
it serves one version whatever the alias says, the reference is made to serve that version of the common history. So a
fault of model loading costs the points of model loading only.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Generic, TypeVar

from harness.errors import BadAnswer
from harness.model import Bench, Finding, Stack
from harness.probes.answers import Answer
from harness.probes.http import get
from harness.probes.registry import Registry, Version
from harness.probes.wait import until

from .rows import Flight, Questions, Row, ask_each

T = TypeVar("T")

FOLLOW_S = 30.0
"""A promise of the brief: what changed is in every answer within 30 seconds. A slow machine gives longer."""

SETTLE_S = 8.0
"""A restarted stack shows at once what it loaded at boot; a slow machine gives longer."""

ANSWER_S = 5.0
"""An answer to one row, while others are asked; a slow machine gives longer."""

SPANS = {"train_from": 67, "train_to": 8, "holdout_from": 7, "holdout_to": 1}
"""Days before the business date, in the tags of versions (both briefs)."""

SAMPLE = 24
"""Answers on fresh connections that stand for every worker in a precondition (checks take 60)."""


@dataclass(frozen=True)
class Both(Generic[T]):
    """One thing of each stack."""

    candidate: T
    reference: T

    def items(self) -> tuple[tuple[str, T], tuple[str, T]]:
        """Both with the names that charts and evidence have for the stacks, the candidate's first."""
        return ("candidate", self.candidate), ("reference", self.reference)


class Pair:
    """The stacks, their registries, who asks what, and what is known of how the candidate serves.

    A scenario's own pair says which flights are hidden (`hidden_flights`), which models there are (`roles`) and what
    the grader's versions are tagged with (`tags`).
    """

    roles: tuple[str, ...] = ()
    """The models of private/models, registered on both stacks by the grader."""

    same_bytes: Mapping[str, str] = {}
    """Roles that are another registration of a role's model."""

    night_s: float = 60.0
    """Twice what the brief gives a night, for both stacks may run theirs at once; a slow machine gives longer."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.candidate, self.reference = bench.candidate, bench.reference
        self.stacks = (self.candidate, self.reference)
        self.today = bench.variant.business_date
        self.seed = f"{bench.variant.scenario}/{bench.variant.seed}"
        self.flights = self.hidden_flights()
        self.shared = Questions(self.flights, self.seed, 0)
        self._own = {stack.name: Questions(self.flights, self.seed, n) for n, stack in enumerate(self.stacks, 1)}
        self.registry = {stack.name: Registry(stack, timeout=20.0) for stack in self.stacks}
        self.history = self.given_history()
        """When a version was made, by its number: those of the registry as it was given to the candidate."""
        self.versions: dict[str, dict[str, Version]] = {stack.name: {} for stack in self.stacks}
        self.follows = True
        """Whether the candidate follows the alias without a restart, as far as is known."""
        self.pinned = ""
        """The version that the candidate serves whatever the alias says, once that is known."""
        self.alias_moves = True
        """Whether the candidate's nightly moves the aliases when it promotes, as far as is known."""
        self.restarted: list[int] = []
        """The number of the candidate's last weather call before each restart of its serving."""

    # --- a scenario's own -------------------------------------------------------------------------------------------

    def given_history(self) -> dict[str, int]:
        """The reference's versions with the instants at which the story made them, in milliseconds since 1970.

        Those are the same wherever a variant is laid out; run ids are not.
        """
        return {each.version: each.created for each in self.registry[self.reference.name].versions()}

    def hidden_flights(self) -> Sequence[Flight]:
        """The flights that questions are about: those of the business date and the days after it."""
        raise NotImplementedError

    def tags(self, role: str) -> dict[str, str]:
        """Tags of a role's version by the brief's contract, so that a serving that reads them finds them."""
        raise NotImplementedError

    # --- steps on both stacks ---------------------------------------------------------------------------------------

    def both(self, step: Callable[[Stack], T]) -> Both[T]:
        """Run a step on both stacks at once. The reference's exception goes first: then it is no fault of the other."""
        candidate, reference = self._outcomes(step)
        if isinstance(reference, Exception):
            raise reference
        if isinstance(candidate, Exception):
            raise candidate
        return Both(candidate, reference)

    def check_both(self, check_id: str, probe: Callable[[Stack], Finding]) -> Finding | None:
        """`Bench.check` with a probe that ran on both stacks at once, so that the control costs no time."""
        found = dict(zip((self.candidate.name, self.reference.name), self._outcomes(probe), strict=True))

        def replay(stack: Stack) -> Finding:
            outcome = found[stack.name]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return self.bench.check(check_id, replay)

    def _outcomes(self, step: Callable[[Stack], T]) -> tuple[T | Exception, T | Exception]:
        def attempt(stack: Stack) -> T | Exception:
            try:
                return step(stack)
            except Exception as exc:  # noqa: BLE001 - raised again by whoever reads the outcome
                return exc

        candidate, reference = self.bench.side_by_side(lambda: attempt(self.candidate), lambda: attempt(self.reference))
        return candidate, reference

    # --- questions --------------------------------------------------------------------------------------------------

    def fresh(self, n: int) -> list[Row]:
        """New rows for both stacks; they leave two to five days ahead, so they may still be asked the next days."""
        return self.shared.fresh(n, self.today + timedelta(days=2), self.today + timedelta(days=5))

    def fresh_for(self, stack: Stack, n: int) -> list[Row]:
        """New rows for one stack."""
        return self._own[stack.name].fresh(n, self.today + timedelta(days=1), self.today + timedelta(days=5))

    def twins_for(self, stack: Stack, rows: Sequence[Row]) -> list[Row]:
        """The same questions, new to any cache of the stack."""
        return self._own[stack.name].twins(rows)

    def moved_for(self, stack: Stack, n: int, to: date) -> list[Row]:
        """New rows for one stack that leave on a day for which no weather is known."""
        return self._own[stack.name].moved(n, to)

    def ask_each(self, stack: Stack, rows: Sequence[Row]) -> list[Answer]:
        """Ask each row alone; answers in order. Raises BadAnswer."""
        return ask_each(stack, rows, timeout=ANSWER_S * self.bench.pace)

    # --- versions ---------------------------------------------------------------------------------------------------

    def register(self, roles: Sequence[str] = ()) -> None:
        """Register the grader's models on both stacks (all roles where none is named); no alias moves."""

        def each(stack: Stack) -> None:
            for role in roles or self.roles:
                if role not in self.versions[stack.name]:
                    self.versions[stack.name][role] = self._register(stack, role)

        self.both(each)

    def _register(self, stack: Stack, role: str) -> Version:
        folder = self.bench.site.private / "models" / self.same_bytes.get(role, role)
        name = f"nightly-{self.bench.variant.business_date}"
        return self.registry[stack.name].register(folder, self.tags(role), name)

    def dated(self, role: str) -> dict[str, str]:
        """A data digest of a role's own, one code digest, a metric, and dates so many days before the business date."""
        day = self.bench.variant.business_date
        data, code = (hashlib.sha256(f"{self.seed}/{what}".encode()).hexdigest() for what in (role, "code"))
        value = 0.5 + int(data[:4], 16) / 0xFFFF / 10  # of the size that trained versions have
        dates = {name: str(day - timedelta(days=before)) for name, before in SPANS.items()}
        return {"data_digest": data, "code_digest": code, "metric": "log_loss", "metric_value": f"{value:.6f}"} | dates

    def version(self, stack: Stack, role: str) -> str:
        """The number that a role's version has in a stack's registry."""
        return self.versions[stack.name][role].version

    def switch(self, stack: Stack, version: str) -> None:
        """Make a version champion and the champion until now previous, as a promotion does."""
        registry = self.registry[stack.name]
        replaced = registry.champion()
        if replaced is not None and replaced.version != version:
            registry.set_alias("previous", replaced.version)
        registry.set_alias("champion", version)

    def served(self, stack: Stack, n: int = SAMPLE) -> Counter[str]:
        """How many of n new questions, each on a fresh connection, which version answered."""
        return Counter(answer.model.version for answer in self.ask_each(stack, self.fresh_for(stack, n)))

    def seen_other_than(self, stack: Stack, version: str, n: int = SAMPLE) -> str | None:
        """None when every one of n answers carries the version, else what was seen. A few are asked first."""
        for size in (4, n):
            seen = self.served(stack, size)
            if set(seen) != {version}:
                return f"version {version} on {seen[version]} of {size} answers, others: {_counts(seen, version)}"
        return None

    def await_version(self, stack: Stack, version: str, seconds: float, n: int = SAMPLE) -> float:
        """Wait until every one of n answers carries a version; returns seconds. Raises BadAnswer.

        A slow machine gives more than `seconds`.
        """
        what = f"{n} answers on fresh connections carry version {version}"
        return until(stack, what, lambda: self.seen_other_than(stack, version, n), seconds * self.bench.pace)

    def serve(self, role: str) -> bool:
        """Precondition: both stacks serve a role's model. See the module's docstring for what is done to get there.

        Returns False when the candidate keeps to one version of the common history, and the reference serves that
        too. Raises BadAnswer when there is nothing that both can serve.
        """
        self.register((role,))
        self.both(lambda stack: self._serve(stack, role))
        if self.pinned:
            self._align()
        return not self.pinned

    def _serve(self, stack: Stack, role: str) -> None:
        version = self.version(stack, role)
        self.switch(stack, version)
        if stack is self.reference:
            self.await_version(stack, version, FOLLOW_S)
        elif not self.pinned:
            self.bring(version)

    def bring(self, version: str) -> None:
        """Precondition: the candidate serves its champion, after a restart where it must; else `pinned` is set."""
        stack = self.candidate
        if self.follows:
            try:
                self.await_version(stack, version, FOLLOW_S)
            except BadAnswer:
                self.follows = False
        if not self.follows:
            self._restart_for(stack, version)

    def _restart_for(self, stack: Stack, version: str) -> None:
        with suppress(BadAnswer):  # what does not answer is restarted, too
            if self.seen_other_than(stack, version) is None:
                return
        self.restart(stack)
        try:
            self.await_version(stack, version, SETTLE_S)
        except BadAnswer:
            self.pinned = self.served(stack).most_common(1)[0][0]

    def _align(self) -> None:
        """Make the reference serve what the candidate keeps to: the same role, or the same version of the history."""
        roles = [role for role, each in self.versions[self.candidate.name].items() if each.version == self.pinned]
        if roles:
            self._serve(self.reference, roles[0])
            return
        kept = self.registry[self.candidate.name].version(self.pinned)
        same = self.registry[self.reference.name].version(self.pinned)
        if kept is None or same is None or not self.history.get(self.pinned) == kept.created == same.created:
            raise BadAnswer(
                self.candidate.name,
                f"Serving answers with version {self.pinned} whatever the alias champion says, also after a restart.",
            )
        self.switch(self.reference, self.pinned)
        self.await_version(self.reference, self.pinned, FOLLOW_S)

    def restart(self, stack: Stack) -> None:
        """Restart serving; a new budget of weather calls begins. Raises NotReady."""
        if stack is self.candidate:
            self.restarted.append(max((int(str(call["seq"])) for call in self.calls(stack)), default=0))
        stack.restart("serving")

    # --- the provider -----------------------------------------------------------------------------------------------

    def calls(self, stack: Stack) -> list[Mapping[str, object]]:
        """The weather calls that a stack's provider has had. Raises BadAnswer when the provider does not say."""
        status, text = get(stack, "provider", "/calls", timeout=20.0)
        if status != 200:
            raise RuntimeError(f"the provider of {stack.name} answered {status} to /calls")
        found: list[Mapping[str, object]] = json.loads(text)["calls"]
        return found


def _counts(seen: Counter[str], version: str) -> str:
    others = [f"{name} ({count})" for name, count in seen.most_common() if name != version]
    return ", ".join(others) or "none"
