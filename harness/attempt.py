"""One attempt, wherever it is led: its record, how it begins, and how its state becomes a submission."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from harness import variant as variants
from harness.errors import ExamError, SubmissionError
from harness.model import Finding, Record, Site, Stack, Submission, Variant
from harness.scenario import Scenario
from harness.workspace import changes, digests, file_digest, freeze

PAPERS = ("diagnosis.toml", "INCIDENT.md")
"""What a candidate writes beside the repair; said before a submission where it is missing."""

ESTIMATE = 2000
"""Characters of an estimate that are kept."""


class Attempt(Record):
    """One candidate at one variant. Times are UTC, ISO 8601; `seed` is not shown to the candidate."""

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
    submitted: bool = False
    estimate: str = ""


class Rehearsal(Record):
    """What a rehearsal found: whether the frozen state boots, in seconds, and what the public checks say of it."""

    boots: bool
    seconds: float
    sentence: str
    checks: tuple[tuple[str, bool | None, str], ...] = ()


def hand_in(
    attempt: Attempt, scenario: Scenario, site: Site, folder: Path, *, at_deadline: bool
) -> tuple[Submission, Attempt]:
    """Freeze a site into `folder`: submission.tar.gz, submission.json, sealed.json; returns it and the sealed attempt.

    After the deadline the state counts as it is then, marked late, unless it is handed in for the deadline's sake.
    Raises SubmissionError when the content is out of bounds.
    """
    archive = folder / "submission.tar.gz"
    digest = freeze(site, archive, scenario.spec.scratch)
    now = datetime.now(UTC)
    used = (now - datetime.fromisoformat(attempt.started_at)).total_seconds() / 60
    submission = Submission(
        archive=archive,
        sha256=digest,
        scenario=attempt.scenario,
        attempt=attempt.id,
        submitted_at=now.isoformat(timespec="seconds"),
        minutes_used=round(used, 1),
        late=not at_deadline and used > scenario.spec.minutes,
        changes=changes(attempt.given, digests(site.workspace, scenario.spec.scratch)),
    )
    sealed = attempt.model_copy(update={"submitted": True})
    (folder / "submission.json").write_text(submission.model_dump_json(indent=1), encoding="utf-8")
    (folder / "sealed.json").write_text(sealed.model_dump_json(indent=1), encoding="utf-8")
    return submission, sealed


def read_submission(folder: Path) -> tuple[Submission, Attempt]:
    """A submission from its folder. Raises SubmissionError for one that is none, or was changed since."""
    try:
        submission = Submission.model_validate_json((folder / "submission.json").read_text(encoding="utf-8"))
        sealed = Attempt.model_validate_json((folder / "sealed.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise SubmissionError(f"{folder.name} is not a submission.", "Run `exam submit` first.") from exc
    submission = submission.model_copy(update={"archive": folder / "submission.tar.gz"})
    if not submission.archive.is_file() or file_digest(submission.archive) != submission.sha256:
        raise SubmissionError(f"The archive of {submission.attempt!r} is not the one that was submitted.")
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
    """The scenario's public checks, on a running stack."""
    found: list[tuple[str, Finding]] = scenario.module("grader.public").public(stack, workspace)
    return found


def missing_papers(workspace: Path) -> list[str]:
    """The papers that are not in a workspace."""
    return [name for name in PAPERS if not (workspace / name).is_file()]
