"""Grades a submission: a fresh stack from it, the reference beside it, the scenario's checks, and a score.

The checks themselves belong to the scenario (`grader/checks.py`). A stack that is not ready in time fails every check;
where the reference does not come up, every check is an ERROR.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import harness
from harness import diagnosis, scoring
from harness.bench import GradingBench, Progress, pace
from harness.errors import ExamError, NotReady, StackError, SubmissionError
from harness.layout import Layouts
from harness.model import (
    Activity,
    Change,
    Diagnosis,
    DiagnosisRules,
    Event,
    RunRecord,
    Site,
    Stack,
    Variant,
)
from harness.probes import load
from harness.registry_import import import_registry
from harness.runtime.base import RunningStack, Runtime, StackPlan
from harness.scenario import Scenario
from harness.workspace import copy_registry, copy_tree, digests, file_digest, registry_entries, unpack

BOOT_SECONDS = 60.0
BOOTS_ALLOWED = 4
"""A submission may take so many seconds to come up, or so many times what the reference takes if that is longer."""

SIDES = ("candidate", "reference")

LEFT_OUT = ("shortcuts", "solutions")
"""Folders of a scenario that no grading reads."""

PACKAGES = ("mlflow", "bentoml", "evidently", "locust", "scikit-learn", "pandas")


@dataclass(frozen=True)
class GradingJob:
    """What is graded, and where: `archive` is the submission, `folder` where the run is written."""

    scenario: Scenario
    variant: Variant
    archive: Path
    attempt: str
    folder: Path
    only: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    journal: tuple[Event, ...] = ()
    estimate: str = ""
    minutes_used: float = 0


def whole(job: GradingJob, *, attempt: str, folder: Path) -> GradingJob:
    """The same submission graded by every check, under another name and written to another folder."""
    return replace(job, attempt=attempt, folder=folder, only=())


def grade(job: GradingJob, layouts: Layouts, runtime: Runtime, progress: Progress) -> RunRecord:
    """Grade a submission on a fresh stack with the reference beside it; returns the run record, unwritten.

    `job.only` limits the run to these checks and what is needed for them; the others get no result. Raises
    SubmissionError for an archive that is none. What was started is ended, whatever happens.
    """
    job = replace(job, folder=job.folder.absolute(), archive=job.archive.absolute())
    started = time.monotonic()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    stacks = job.folder / "stacks"
    _take_down(runtime, *(stacks / name / "run" for name in SIDES))  # an interrupted grading may have left them
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    progress("laying out both stacks", 0, len(job.scenario.spec.check))
    healthy = layouts.healthy(job.scenario, job.variant)
    candidate_plan = _plan(job, "candidate", stacks / "candidate", healthy)
    reference_plan = _plan(job, "reference", stacks / "reference", healthy)
    lay_out_submission(job.archive, job.scenario, healthy, candidate_plan.workspace, candidate_plan.registry)
    copy_tree(healthy.workspace, reference_plan.workspace)
    copy_registry(healthy.registry, reference_plan.registry)
    try:
        bench = _run(job, runtime, candidate_plan, reference_plan, healthy, progress, started)
    finally:
        _take_down(runtime, candidate_plan.folder, reference_plan.folder)
    record = _record(job, layouts, runtime, bench, candidate_plan, started_at, time.monotonic() - started)
    shutil.rmtree(stacks, ignore_errors=True)
    return record


def _record(
    job: GradingJob,
    layouts: Layouts,
    runtime: Runtime,
    bench: GradingBench,
    candidate: StackPlan,
    started_at: str,
    seconds: float,
) -> RunRecord:
    """What the checks found, what the candidate wrote, and the score of both."""
    spec, variant = job.scenario.spec, job.variant
    said = _diagnosis(candidate, layouts.broken(job.scenario, variant), spec.diagnosis)
    facts = layouts.facts(job.scenario, variant)
    return RunRecord(
        scenario=spec.id,
        title=spec.title,
        seed=variant.seed,
        attempt=job.attempt,
        submission_sha256=file_digest(job.archive),
        runtime=runtime.name,
        certifiable=runtime.certifiable,
        started_at=started_at,
        seconds=round(seconds, 1),
        business_date=variant.business_date,
        variant=variant,
        score=scoring.score(spec.check, spec.diagnosis, variant, bench.results, said, facts, spec.fact),
        activities=tuple(bench.activities),
        charts=tuple(bench.charts),
        changes=job.changes,
        journal=job.journal,
        incident=_text(candidate.workspace / "INCIDENT.md"),
        estimate=job.estimate,
        minutes_used=job.minutes_used,
        minutes_allowed=spec.minutes,
        versions=versions(job.scenario),
        notes=said.problems,
    )


def versions(scenario: Scenario) -> dict[str, str]:
    """What a result depends on beside the submission: the packages, and a digest of the harness and of the scenario.

    Two results of one submission can be compared where these are the same.
    """
    folders = [Path(harness.__file__).parent, scenario.folder, *([scenario.base] if scenario.base else [])]
    code = [f"{path} {digest}" for each in folders for path, digest in digests(each, LEFT_OUT).items()]
    whole_code = hashlib.sha256("\n".join(code).encode()).hexdigest()
    return {name: metadata.version(name) for name in PACKAGES} | {"grader": whole_code[:12]}


def _take_down(runtime: Runtime, *folders: Path) -> None:
    """Take stacks down in this order, each also where another's refuses. What loads both goes with the first."""
    with ExitStack() as left:
        for folder in reversed(folders):
            left.callback(runtime.down, folder)


def _run(
    job: GradingJob,
    runtime: Runtime,
    candidate_plan: StackPlan,
    reference_plan: StackPlan,
    healthy: Site,
    progress: Progress,
    started: float,
) -> GradingBench:
    began = time.monotonic() - started
    progress("booting both stacks", 0, len(job.scenario.spec.check))
    candidate, reference, boot_seconds = _boot(runtime, candidate_plan, reference_plan)
    allowed = max(BOOT_SECONDS, BOOTS_ALLOWED * boot_seconds)
    bench = GradingBench(
        checks=job.scenario.spec.check,
        only=job.only,
        pace=pace(boot_seconds),
        variant=job.variant,
        candidate=candidate if not isinstance(candidate, BaseException) else Absent(candidate_plan.name),
        reference=reference if not isinstance(reference, BaseException) else Absent(reference_plan.name),
        site=healthy,
        folder=job.folder,
        progress=progress,
        started=started,
    )
    bench.activities.append(Activity(name="boot both stacks", kind="boot", start=began, end=time.monotonic() - started))
    if isinstance(reference, BaseException):
        bench.error_all(f"The reference did not come up: {str(reference)[:500]}", reference)
    elif isinstance(candidate, NotReady):
        bench.fail_all(f"The stack did not come up within {allowed:.0f} s: {str(candidate)[:500]}")
    elif isinstance(candidate, BaseException):
        bench.error_all(f"The stack could not be started: {str(candidate)[:500]}", candidate)
    else:
        with runtime.driving((candidate, reference)) as send, load.sent_by(send):
            job.scenario.checks().grade(bench)
        for service in job.scenario.spec.service:
            bench.save(f"logs/{service.name}.txt", _log(candidate, service.name))
        bench.error_all("The grader gave this check no result.")
    return bench


def _boot(
    runtime: Runtime, candidate_plan: StackPlan, reference_plan: StackPlan
) -> tuple[RunningStack | BaseException, RunningStack | BaseException, float]:
    """Both stacks at once, and the seconds that the reference took.

    The candidate's has BOOT_SECONDS, or BOOTS_ALLOWED times what the reference took.
    """

    def up(plan: StackPlan, deadline_s: float) -> tuple[RunningStack | BaseException, float]:
        began = time.monotonic()
        try:
            return runtime.up(plan, deadline_s, lambda _: None), time.monotonic() - began
        except Exception as exc:  # noqa: BLE001 - judged by the caller
            return exc, time.monotonic() - began

    with ThreadPoolExecutor(max_workers=2) as pool:
        candidate_up = pool.submit(up, candidate_plan, BOOT_SECONDS)
        reference_up = pool.submit(up, reference_plan, 3 * BOOT_SECONDS)
        (candidate, _), (reference, seconds) = candidate_up.result(), reference_up.result()
    allowed = BOOTS_ALLOWED * seconds
    if isinstance(candidate, NotReady) and allowed > BOOT_SECONDS:
        candidate, _ = up(candidate_plan, allowed)
    return candidate, reference, seconds


def _plan(job: GradingJob, name: str, folder: Path, healthy: Site) -> StackPlan:
    folder.mkdir(parents=True)
    clock = folder / "clock"
    clock.write_text(f"{job.variant.business_date.isoformat()}\n", encoding="utf-8")
    site = Site(folder / "workspace", folder / "registry", healthy.private)
    plan = StackPlan.of(job.scenario, site, clock, name=name, folder=folder / "run", graded=True)
    return plan.model_copy(update={"attempt": job.attempt})


def lay_out_submission(archive: Path, scenario: Scenario, healthy: Site, workspace: Path, registry: Path) -> None:
    """Unpack a submission; what is fixed comes fresh, the registry row by row into a fresh database.

    `workspace` and `registry` are made. Raises SubmissionError when the archive is none, its registry is refused, or
    its files cannot be laid out here.
    """
    unpacked = workspace.parent / "unpacked"
    unpack(archive, unpacked)
    try:
        (unpacked / "workspace").rename(workspace)
        restore_fixed(scenario, healthy, workspace)
        import_registry(unpacked / "registry", healthy.registry, registry)
        shutil.rmtree(unpacked)
    except OSError as exc:
        raise SubmissionError(f"The submission cannot be laid out: {exc}.", "Run `exam rehearse`.") from exc


def restore_fixed(scenario: Scenario, healthy: Site, workspace: Path) -> None:
    """Put the fixed parts of a workspace back as they were given, whatever stands in their place or in their way."""
    for name in scenario.spec.fixed:
        source, target = healthy.workspace / name, workspace / name
        _clear_way(target, workspace)
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            copy_tree(source, target)
        else:
            shutil.copy2(source, target)


def _clear_way(target: Path, workspace: Path) -> None:
    """Remove what is not a folder, and a link to one, where a folder above `target` has to be."""
    for above in reversed(target.relative_to(workspace).parents[:-1]):
        folder = workspace / above
        if folder.is_symlink() or folder.is_file():
            folder.unlink()


class Absent:
    """Stands where a stack never came up; nobody asks it anything."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        raise StackError(self.name, "The stack did not come up.")


def _diagnosis(plan: StackPlan, given: Site, rules: DiagnosisRules) -> Diagnosis:
    path = plan.workspace / "diagnosis.toml"
    if not path.is_file() or path.is_symlink():
        return Diagnosis(problems=("No diagnosis.toml was handed in.",))
    try:
        read = diagnosis.read(path.read_bytes(), rules)
    except SubmissionError as exc:
        return Diagnosis(problems=(str(exc),))
    return diagnosis.resolve(read, [*pointable(given), *digests(plan.workspace)])


def pointable(given: Site) -> list[str]:
    """What a claim may point to: every file that was given, and every version of the registry."""
    return [*digests(given.workspace), *registry_entries(given.registry)]


def _log(stack: Stack, service: str) -> str:
    try:
        return stack.logs(service, 2000)
    except ExamError:
        return ""


def _text(path: Path) -> str:
    if not path.is_file() or path.is_symlink():
        return ""
    return path.read_bytes()[:40_000].decode("utf-8", "replace")
