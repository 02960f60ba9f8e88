"""The main job in one go: an attempt is started and graded untouched; then its variant is graded once repaired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from harness import grading, proof, report
from harness import scenario as scenarios
from harness import variant as variants
from harness.bench import Progress
from harness.errors import UsageError
from harness.model import RunRecord
from harness.proof import Row
from harness.runtimes import runtime_named
from harness.session import Session

Bar = Callable[[str], AbstractContextManager[Progress]]


def demo(
    session: Session, scenario_id: str, seed: int, shortcuts: Sequence[str], reports: Path, bar: Bar
) -> list[tuple[str, RunRecord]]:
    """Run the demo and write a report for each run below `reports`; returns (label, record) in the order shown.

    The attempt is started for real, submitted as it stands and taken down. Raises UsageError for an unknown shortcut.
    """
    scenario = scenarios.find(scenario_id, session.roots)
    wrong = [_shortcut(name, proof.plan(scenario).rows) for name in shortcuts]
    name = f"demo-{scenario_id.replace('_', '-')}"
    _forget(session, name)
    attempt, _ = session.start(scenario_id, seed, name=name)
    try:
        session.submit(attempt)
    finally:
        session.down(attempt.id)
    with bar("untouched") as progress:
        untouched, _ = session.grade(attempt.id, reports, progress)
    runs = [("untouched", untouched)]
    for row in (Row(name="repaired", kind="repaired", seed=seed), *wrong):
        with bar(row.name) as progress:
            runs.append((row.name, _grade_row(session, scenario, row, reports, name, progress)))
    return runs


def _grade_row(
    session: Session, scenario: scenarios.Scenario, row: Row, reports: Path, name: str, progress: Progress
) -> RunRecord:
    variant = variants.draw(scenario, row.seed)
    job = proof.job_of(row, scenario, variant, session.layouts, session.home / "demo")
    attempt = f"{name}-{row.name}"
    job = grading.whole(job, attempt=attempt, folder=reports / attempt)
    record = grading.grade(job, session.layouts, runtime_named("process", session.home), progress)
    report.write(record, job.folder)
    return record


def _shortcut(name: str, rows: Sequence[Row]) -> Row:
    for row in rows:
        if row.kind == "shortcut" and row.name == name:
            return row
    known = ", ".join(sorted({row.name for row in rows if row.kind == "shortcut"}))
    raise UsageError(f"There is no shortcut {name!r}; there are: {known}.")


def _forget(session: Session, name: str) -> None:
    """A demo may be run again: what the last one left goes."""
    session.down(name)
    session.forget_submission(name)
