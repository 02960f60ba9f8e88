"""One attempt, wherever it is led: its record, how it begins, and how its state becomes a submission."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness import variant as variants
from harness.errors import ExamError, StackError, SubmissionError
from harness.model import Finding, Record, Site, Stack, Submission, Variant
from harness.scenario import SCENARIOS, Scenario
from harness.text import one_line
from harness.workspace import changes, digests, file_digest, freeze

PAPERS = ("diagnosis.toml", "INCIDENT.md")
"""What a candidate writes beside the repair; said before a submission where it is missing."""

ESTIMATE = 2000
"""Characters of an estimate that are kept."""

GRACE_SECONDS = 60.0
"""So long after the deadline its state may be frozen: copying a submission of the largest size takes half of it."""


class Attempt(Record):
    """One candidate at one variant. Times are UTC, ISO 8601; `seed` is not shown to the candidate.

    A `public` scenario is the project's own, wherever that lies; another one is only what lies in its folder.
    """

    id: str
    scenario: str
    folder_of_scenario: Path
    seed: int
    runtime: str
    started_at: str
    deadline: str
    laid_out_seconds: float
    ready_seconds: float
    given: Mapping[str, str]
    public: bool = False
    submitted: bool = False
    estimate: str = ""


class Rehearsal(Record):
    """What a rehearsal found: whether the frozen state boots, in seconds, and what the public checks say of it."""

    boots: bool
    seconds: float
    sentence: str
    checks: tuple[tuple[str, bool | None, str], ...] = ()


def is_public(scenario: Scenario) -> bool:
    """Whether a scenario is the project's own, by where it lies on this machine."""
    return scenario.folder.parent == SCENARIOS


def begun(
    scenario: Scenario,
    variant: Variant,
    workspace: Path,
    *,
    name: str,
    runtime: str,
    public: bool,
    laid_out_seconds: float,
    ready_seconds: float,
) -> Attempt:
    """The record of an attempt that begins now with `workspace` as it was given: from here its clock runs."""
    now = datetime.now(UTC)
    return Attempt(
        id=name,
        scenario=scenario.spec.id,
        folder_of_scenario=scenario.folder,
        public=public,
        seed=variant.seed,
        runtime=runtime,
        started_at=now.isoformat(timespec="seconds"),
        deadline=(now + timedelta(minutes=scenario.spec.minutes)).isoformat(timespec="seconds"),
        laid_out_seconds=round(laid_out_seconds, 1),
        ready_seconds=round(ready_seconds, 1),
        given=digests(workspace, scenario.spec.scratch),
    )


def seconds_left(attempt: Attempt) -> float:
    """Until the deadline; negative after it."""
    return (datetime.fromisoformat(attempt.deadline) - datetime.now(UTC)).total_seconds()


def minutes_left(attempt: Attempt) -> float:
    """As it is shown to the candidate: 0 when the time is over or the attempt is submitted."""
    return 0.0 if attempt.submitted else round(max(0.0, seconds_left(attempt)) / 60, 1)


def hand_in(
    attempt: Attempt, scenario: Scenario, site: Site, folder: Path, *, at_deadline: bool
) -> tuple[Submission, Attempt]:
    """Freeze a site into `folder`: submission.tar.gz, submission.json, sealed.json; returns it and the sealed attempt.

    After the deadline the state counts as it is then, marked late. `at_deadline`, it is marked late only where freezing
    began GRACE_SECONDS after it. Raises SubmissionError when the content is out of bounds.
    """
    now = datetime.now(UTC)
    late = seconds_left(attempt) < -(GRACE_SECONDS if at_deadline else 0.0)
    used = (now - datetime.fromisoformat(attempt.started_at)).total_seconds() / 60
    archive = folder / "submission.tar.gz"
    digest = freeze(site, archive, scenario.spec.scratch)
    submission = Submission(
        archive=archive,
        sha256=digest,
        scenario=attempt.scenario,
        attempt=attempt.id,
        submitted_at=now.isoformat(timespec="seconds"),
        minutes_used=round(used, 1),
        late=late,
        changes=changes(attempt.given, digests(site.workspace, scenario.spec.scratch)),
    )
    sealed = attempt.model_copy(update={"submitted": True})
    (folder / "submission.json").write_text(submission.model_dump_json(indent=1), encoding="utf-8")
    (folder / "sealed.json").write_text(sealed.model_dump_json(indent=1), encoding="utf-8")
    return submission, sealed


def handed_in(submission: Submission, *, at_deadline: bool, left_out: Sequence[str] = ()) -> dict[str, Any]:
    """What the journal says of a submission; `left_out` are sentences about what could not be submitted."""
    late = {"late": True} if submission.late else {}
    without = {"left_out": list(left_out)} if left_out else {}
    return {"sha256": submission.sha256, "at_deadline": at_deadline, **late, **without}


def read_submission(folder: Path) -> tuple[Submission, Attempt]:
    """A submission from its folder. Raises SubmissionError for one that is none, or was changed since."""
    try:
        submission = Submission.model_validate_json((folder / "submission.json").read_text(encoding="utf-8"))
        sealed = Attempt.model_validate_json((folder / "sealed.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise SubmissionError(
            f"{folder.name} is not a submission that this version reads.",
            "Run `exam submit` first; what another version froze, that one grades.",
        ) from exc
    submission = submission.model_copy(update={"archive": folder / "submission.tar.gz"})
    if not submission.archive.is_file() or file_digest(submission.archive) != submission.sha256:
        raise SubmissionError(
            f"The archive of {submission.attempt!r} is not the one that was submitted.",
            "Put that one back; no other is graded.",
        )
    return submission, sealed


def keep(attempt: Attempt, folder: Path) -> None:
    """Write the record of an attempt into its folder, in one piece."""
    partial = folder / "attempt.partial"
    partial.write_text(attempt.model_dump_json(indent=1), encoding="utf-8")
    partial.replace(folder / "attempt.json")


def settle_live(scenario: Scenario, variant: Variant, stack: Stack) -> None:
    """Do what happened in the story after serving was booted, then look whether each drawn fault is in place.

    Raises ExamError naming what is not, so that nobody sits an exam that is broken in another way than planned.
    """
    forms = [(variants.form_of(scenario.forms, fault), fault) for fault in variant.faults]
    for form, fault in forms:
        if form.live is not None:
            form.live(stack, fault)
    for form, fault in forms:
        problem = form.in_place(stack, fault)
        if problem is not None:
            raise ExamError(
                f"A fault of the variant is not in place: {problem}", "Start again; if it recurs, use another seed."
            )


def public_checks(scenario: Scenario, stack: Stack, workspace: Path) -> list[tuple[str, Finding]]:
    """The scenario's public checks, on a running stack.

    Raises ExamError where they end otherwise than with findings: they look at what a candidate is at work on.
    """
    try:
        found: list[tuple[str, Finding]] = scenario.module("grader.public").public(stack, workspace)
    except ExamError:
        raise
    except Exception as exc:  # whatever the scenario's own code raises
        raise ExamError(
            f"The public checks broke off: {one_line(f'{type(exc).__name__}: {exc}', 200)}.",
            "Look whether every service is up, and at the file that you changed last.",
        ) from exc
    return found


def rehearsal(scenario: Scenario, booted: AbstractContextManager[Stack], workspace: Path) -> Rehearsal:
    """Enter `booted`, which boots what was frozen, and run the public checks on it; `workspace` is the frozen one."""
    began = time.monotonic()
    try:
        with booted as stack:
            seconds = round(time.monotonic() - began, 1)
            found = public_checks(scenario, stack, workspace)
    except StackError as exc:
        return Rehearsal(boots=False, seconds=round(time.monotonic() - began, 1), sentence=str(exc))
    return Rehearsal(
        boots=True,
        seconds=seconds,
        sentence=f"What would be frozen now is ready after {seconds:.0f} s.",
        checks=tuple((name, finding.ok, finding.sentence) for name, finding in found),
    )


def missing_papers(workspace: Path) -> list[str]:
    """The papers that are not in a workspace."""
    return [name for name in PAPERS if not (workspace / name).is_file()]
