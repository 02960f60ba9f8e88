"""Who leads an attempt that is under way: the harness on this machine (`Here`), or a proctor in its stack (`Led`)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from harness import grading
from harness import variant as variants
from harness.attempt import (
    ESTIMATE,
    Attempt,
    Rehearsal,
    hand_in,
    handed_in,
    keep,
    missing_papers,
    public_checks,
    rehearsal,
)
from harness.errors import AttemptError, UsageError
from harness.journal import Journal
from harness.layout import Layouts, site_in
from harness.model import Change, Finding, Site
from harness.proctor.snapshot import snapshot_attempt
from harness.runtime.base import RunningStack, Runtime, StackPlan
from harness.scenario import Scenario
from harness.workspace import changes, digests, freeze

BOOT_SECONDS = 300.0
"""A stack takes 20 s on two quiet cores; on the same with twelve times the work for them it took 150 s."""


class Leader(Protocol):
    """What can be asked of an attempt under way. Whoever leads it keeps its clock and writes its journal.

    Methods raise AttemptError for what an attempt in this state cannot do, and EnvironmentFault where nobody answers.
    """

    @property
    def workspace(self) -> Path:
        """The folder in which the candidate works, as the candidate sees it."""

    def pages(self) -> dict[str, str]:
        """Name -> address of what there is for people besides the services."""

    def today(self) -> str:
        """The business date of the live stack, ISO 8601."""

    def frozen(self) -> bool:
        """Whether the attempt is submitted: from here, from where the candidate works, or by its deadline."""

    def restarted(self, service: str, seconds: float) -> None:
        """Write down that a service was restarted from here."""

    def reset(self, path: str) -> None:
        """Put a file of the workspace back as it was given. Raises UsageError for a file that was not given."""

    def check(self) -> list[tuple[str, Finding]]:
        """Run the public checks on the live stack."""

    def estimate(self, text: str) -> None:
        """Write down what the candidate expects (time to repair, impact): it is shown beside what happened."""

    def rehearse(self) -> Rehearsal:
        """Freeze the present state, boot it as grading would, and run the public checks on it."""

    def changed(self) -> tuple[tuple[Change, ...], list[str]]:
        """What the candidate changed in the workspace so far, and which papers are missing."""

    def hand_in(self, folder: Path, *, at_deadline: bool) -> None:
        """Freeze the attempt into an empty folder (submission.tar.gz, submission.json, sealed.json).

        What was frozen before, by a proctor, is collected.
        """


@dataclass(frozen=True)
class Here:
    """Implements `Leader` for an attempt whose stack consists of processes here. `folder` is the attempt's own."""

    attempt: Attempt
    find: Callable[[], Scenario]
    folder: Path
    journal: Journal
    layouts: Layouts
    runtime: Runtime
    say: Callable[[str], None]

    @cached_property
    def scenario(self) -> Scenario:
        """The attempt's scenario, found when it is needed: what ends an attempt must not need it."""
        return self.find()

    @property
    def workspace(self) -> Path:
        """See `Leader.workspace`."""
        return site_in(self.folder).workspace

    def pages(self) -> dict[str, str]:
        """See `Leader.pages`: the harness has none here."""
        return {}

    def today(self) -> str:
        """See `Leader.today`."""
        return (self.folder / "clock").read_text(encoding="utf-8").strip()

    def frozen(self) -> bool:
        """See `Leader.frozen`."""
        return self.attempt.submitted

    def restarted(self, service: str, seconds: float) -> None:
        """See `Leader.restarted`."""
        self.journal.append("restarted", {"service": service, "seconds": round(seconds, 1)})

    def reset(self, path: str) -> None:
        """See `Leader.reset`."""
        if path not in self.attempt.given:
            raise UsageError(f"{path!r} is not among the files that were given.", "Name it as seen from the workspace.")
        variant = variants.draw(self.scenario, self.attempt.seed)
        target = self.workspace / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.layouts.broken(self.scenario, variant).workspace / path, target)
        self.journal.append("reset", {"file": path})

    def check(self) -> list[tuple[str, Finding]]:
        """See `Leader.check`."""
        found = public_checks(self.scenario, self.runtime.attach(self.folder / "run"), self.workspace)
        passed = sum(finding.ok is True for _, finding in found)
        self.journal.append("checked", {"passed": passed, "of": len(found)})
        return found

    def estimate(self, text: str) -> None:
        """See `Leader.estimate`."""
        if self.attempt.submitted:
            raise AttemptError("The attempt is submitted: what was expected before counts.")
        if len(text) > ESTIMATE:
            raise UsageError(f"An estimate has at most {ESTIMATE} characters; this one has {len(text)}.", "Shorten it.")
        keep(self.attempt.model_copy(update={"estimate": text}), self.folder)
        self.journal.append("estimated", {"text": text})

    def rehearse(self) -> Rehearsal:
        """See `Leader.rehearse`."""
        place = self.folder / "rehearsal"
        shutil.rmtree(place, ignore_errors=True)
        try:
            freeze(site_in(self.folder), place / "submission.tar.gz", self.scenario.spec.scratch)
            plan = self._plan(place)
            found = rehearsal(self.scenario, self._booted(plan), plan.workspace)
        finally:
            self.runtime.down(place / "run")
            shutil.rmtree(place, ignore_errors=True)
        self.journal.append("rehearsed", {"boots": found.boots, "seconds": found.seconds})
        return found

    def _plan(self, place: Path) -> StackPlan:
        """The stack of what was frozen into a folder, laid out there as grading lays it out."""
        variant = variants.draw(self.scenario, self.attempt.seed)
        healthy, site = self.layouts.healthy(self.scenario, variant), site_in(place)
        grading.lay_out_submission(place / "submission.tar.gz", self.scenario, healthy, site.workspace, site.registry)
        (place / "clock").write_text(f"{variant.business_date.isoformat()}\n", encoding="utf-8")
        site = Site(site.workspace, site.registry, site_in(self.folder).private)
        clock = place / "clock"
        return StackPlan.of(self.scenario, site, clock, name="rehearsal", folder=place / "run", graded=True)

    @contextmanager
    def _booted(self, plan: StackPlan) -> Iterator[RunningStack]:
        yield self.runtime.up(plan, BOOT_SECONDS, self.say)

    def changed(self) -> tuple[tuple[Change, ...], list[str]]:
        """See `Leader.changed`."""
        now = digests(self.workspace, self.scenario.spec.scratch)
        return changes(self.attempt.given, now), missing_papers(self.workspace)

    def hand_in(self, folder: Path, *, at_deadline: bool) -> None:
        """See `Leader.hand_in`. After the deadline the state counts as it is then, marked late.

        At the deadline nobody is there to mend what cannot be submitted: it is left out, and the journal says so.
        """
        site, left_out = site_in(self.folder), tuple[str, ...]()
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            if at_deadline:
                left_out = self._passed_over(site, Path(scratch))
                site = site_in(Path(scratch))
            submission, _ = hand_in(self.attempt, self.scenario, site, folder, at_deadline=at_deadline)
        self.journal.append("submitted", handed_in(submission, at_deadline=at_deadline, left_out=left_out))

    def _passed_over(self, site: Site, target: Path) -> tuple[str, ...]:
        """Copy to `target` what can be submitted of a site; returns a sentence for each thing that cannot."""
        variant = variants.draw(self.scenario, self.attempt.seed)
        empty = self.layouts.healthy(self.scenario, variant).registry
        scratch = self.scenario.spec.scratch
        return snapshot_attempt(site.workspace, site.registry, target, empty, scratch, strict=False)
