"""One row of a proof: what it submits, its grade, and whether that is what it must get."""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import grading
from harness import variant as variants
from harness.errors import ScenarioError
from harness.layout import Layouts, site_in
from harness.model import DrawnFault, Outcome, Record, RunRecord, Site, Variant
from harness.proof.rows import Expect, Row
from harness.runtime.base import Runtime
from harness.scenario import Scenario
from harness.workspace import copy_site, freeze

UNTOUCHED_AT_MOST = 5.0

Progress = Callable[[str, int, int], None]


class Cell(Record):
    """How a row ended: as it must (`good`), or with what differs. `unsure` when a check was INCONCLUSIVE.

    `sentences` says of each check that did not pass what was seen, so that a failed row explains itself. `under_load`
    says whether the grader measured anything under load.
    """

    row: str
    kind: str
    good: bool
    low: float
    high: float
    failed: tuple[str, ...]
    differs: tuple[str, ...] = ()
    unsure: bool = False
    seconds: float = 0
    sentences: Mapping[str, str] = {}
    under_load: bool = True


def run_row(row: Row, scenario: Scenario, layouts: Layouts, runtime: Runtime, folder: Path, progress: Progress) -> Cell:
    """Run one row below `folder` and compare it with what it must get."""
    variant = variants.draw(scenario, row.seed)
    if row.kind == "symptoms":
        return _symptoms(row, scenario, variant, layouts)
    record = grading.grade(job_of(row, scenario, variant, layouts, folder), layouts, runtime, progress)
    return judge(row, record)


def job_of(row: Row, scenario: Scenario, variant: Variant, layouts: Layouts, folder: Path) -> grading.GradingJob:
    """The submission of a row, frozen below `folder`, as a job to grade."""
    shutil.rmtree(folder, ignore_errors=True)
    site = site_in(folder / "site")
    archive = folder / "submission.tar.gz"
    lay_out_row(row, scenario, variant, layouts, site)
    if row.kind != "untouched":
        (site.workspace / "diagnosis.toml").write_text(true_diagnosis(scenario, variant, layouts), encoding="utf-8")
    freeze(site, archive, scenario.spec.scratch)
    shutil.rmtree(folder / "site")
    return grading.GradingJob(
        scenario=scenario,
        variant=variant,
        archive=archive,
        attempt=row.name,
        folder=folder / "run",
        only=_checks_of(row, scenario),
    )


def lay_out_row(row: Row, scenario: Scenario, variant: Variant, layouts: Layouts, site: Site) -> None:
    """The workspace and registry that a row submits."""
    if row.kind == "untouched":
        copy_site(layouts.broken(scenario, variant), site)
        return
    if row.kind == "repaired":
        copy_site(layouts.broken(scenario, variant), site)
        scenario.repair(site, layouts.healthy(scenario, variant), variant)
        return
    if row.kind == "shortcut":
        fault = next(fault for fault in variant.faults if fault.id == row.fault)
        copy_site(layouts.broken(scenario, variants.with_faults(variant, [fault])), site)
        _apply(row, site, variant, fault)
        return
    copy_site(layouts.healthy(scenario, variant), site)
    if row.kind == "solution":
        _apply(row, site, variant, None)


def judge(row: Row, record: RunRecord) -> Cell:
    """Compare a run with what its row must get."""
    outcomes = {item.spec.id: item.result.outcome for item in record.score.checks}
    failed = tuple(check for check, outcome in outcomes.items() if outcome is Outcome.FAIL)
    unsure = [f"{check} is {outcome}" for check, outcome in outcomes.items() if outcome is Outcome.INCONCLUSIVE]
    differs: list[str] = []
    if row.kind == "untouched":
        if record.score.high > UNTOUCHED_AT_MOST:
            differs.append(f"{record.score.high:g} points, more than {UNTOUCHED_AT_MOST:g}")
    elif row.expect is not None:
        differs += _against(row.expect, row, record, failed)
    else:
        differs += [f"{check} failed" for check in failed]
        if record.score.low != 100:
            differs.append(f"{record.score.low:g} points, not 100")
    wanted = _checks_wanted(row, record)
    differs += [f"{check} is an ERROR" for check in wanted if outcomes.get(check) is Outcome.ERROR]
    if row.kind != "untouched":
        differs += unsure
    return Cell(
        row=row.id,
        kind=row.kind,
        good=not differs,
        low=record.score.low,
        high=record.score.high,
        failed=failed,
        differs=tuple(differs),
        unsure=bool(unsure) and row.kind != "untouched",
        seconds=record.seconds,
        sentences={
            item.spec.id: item.result.sentence
            for item in record.score.checks
            if item.spec.id in (*failed, *wanted) and item.result.outcome is not Outcome.PASS
        },
        under_load=any(stretch.kind == "load" for stretch in record.activities),
    )


def true_diagnosis(scenario: Scenario, variant: Variant, layouts: Layouts) -> str:
    """A diagnosis.toml that says of each drawn fault what is true."""
    known = grading.pointable(layouts.broken(scenario, variant))
    lines: list[str] = []
    for fault in variant.faults:
        component, kind = fault.pairs[0]
        pointer = next((name for glob in fault.pointers for name in known if fnmatch.fnmatch(name, glob)), "")
        onset = fault.onset.isoformat() if fault.onset else "unknown"
        values = {"component": component, "kind": kind, "first_bad_day": onset, "pointer": pointer}
        lines += ["[[claim]]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]
    facts = layouts.facts(scenario, variant)
    return "\n".join([*lines, "[facts]", *(f"{name} = {value}" for name, value in facts.items()), ""])


def _checks_of(row: Row, scenario: Scenario) -> tuple[str, ...]:
    """A shortcut's row runs the checks of its fault's slot and those that it names; every other row runs all."""
    if row.expect is None:
        return ()
    slot = row.fault.split("/")[0]
    named = {*row.expect.fails, *row.expect.may_fail}
    return tuple(check.id for check in scenario.spec.check if check.slot == slot or check.id in named)


def _checks_wanted(row: Row, record: RunRecord) -> list[str]:
    slot = row.fault.split("/")[0]
    return [
        item.spec.id
        for item in record.score.checks
        if row.expect is None or item.spec.slot == slot or item.spec.id in row.expect.fails
    ]


def _against(expect: Expect, row: Row, record: RunRecord, failed: Sequence[str]) -> Iterator[str]:
    for check in expect.fails:
        if check not in failed:
            yield f"{check} did not fail"
    fault = next(fault for fault in record.variant.faults if fault.id == row.fault)
    allowed = {*expect.fails, *expect.may_fail, *fault.also_breaks}
    for check in failed:
        if check not in allowed:
            yield f"{check} failed, and is not expected to"


def _symptoms(row: Row, scenario: Scenario, variant: Variant, layouts: Layouts) -> Cell:
    broken, healthy = layouts.broken(scenario, variant), layouts.healthy(scenario, variant)
    differs = []
    for fault in variant.faults:
        symptom = variants.form_of(scenario.forms, fault).visible(broken, healthy, fault)
        if not symptom.measured > symptom.clean_p99:
            differs.append(f"{fault.id}: {symptom.what} is {symptom.measured:.3g}, clean p99 {symptom.clean_p99:.3g}")
    return Cell(
        row=row.id,
        kind=row.kind,
        good=not differs,
        low=0,
        high=0,
        failed=(),
        differs=tuple(differs),
        under_load=False,
    )


def _apply(row: Row, site: Site, variant: Variant, fault: DrawnFault | None) -> None:
    assert row.folder is not None
    module = _load(row.folder / "apply.py")
    module.apply(site, variant, fault)


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"apply_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise ScenarioError(f"{path} does not load.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
