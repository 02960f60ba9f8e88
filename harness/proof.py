"""Proves a scenario: who must get all points gets them, who must not does not, and every fault form is covered.

Rows of the proof:

- `healthy`: the healthy tree, with a true diagnosis: 100 points, every check passed;
- `untouched`: the broken variant as it was given: at most 5 points;
- each solution: an honest repair that looks different: 100 points;
- each shortcut: everything healthy but for one fault and a wrong repair of it: fails the checks that its expect.toml
  names and passes what else the row runs;
- `symptoms`: each drawn fault's symptom exceeds the clean 99th percentile (no stack is started).
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import json
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness import grading
from harness import variant as variants
from harness.errors import ScenarioError
from harness.layout import Layouts, site_in
from harness.model import DrawnFault, Outcome, Record, RunRecord, Site, Variant
from harness.runtime.base import Runtime
from harness.scenario import Scenario
from harness.workspace import copy_site, freeze, tree_digest

UNTOUCHED_AT_MOST = 5.0
SEEDS_TRIED = 400

Progress = Callable[[str, int, int], None]


class Expect(Record):
    """expect.toml of a shortcut: the fault forms it is for, the checks it must fail, and those it may fail besides."""

    faults: tuple[str, ...]
    fails: tuple[str, ...]
    may_fail: tuple[str, ...] = ()
    why: str


class Row(Record):
    """One line of the proof. `fault` is the form that a shortcut is shown on."""

    name: str
    kind: str
    seed: int
    folder: Path | None = None
    fault: str = ""
    expect: Expect | None = None

    @property
    def id(self) -> str:
        """Name of the row with its seed, and its fault form where it has one."""
        return f"{self.name}@{self.seed}" + (f" ({self.fault})" if self.fault else "")


class Cell(Record):
    """How a row ended: as it must (`good`), or with what differs."""

    row: str
    kind: str
    good: bool
    low: float
    high: float
    failed: tuple[str, ...]
    differs: tuple[str, ...] = ()
    seconds: float = 0


class Plan(Record):
    """The rows of a proof and the forms that no row covers."""

    rows: tuple[Row, ...]
    uncovered: tuple[str, ...]


# --- which rows ------------------------------------------------------------------------------------------------------


def plan(scenario: Scenario) -> Plan:
    """Every row of a scenario's proof, on as few seeds as cover every fault form."""
    seeds = covering_seeds(scenario)
    drawn = {seed: {fault.id for fault in variants.draw(scenario, seed).faults} for seed in seeds}
    rows: list[Row] = []
    for seed in seeds:
        rows += [Row(name=name, kind=name, seed=seed) for name in ("symptoms", "healthy", "untouched")]
    for number, folder in enumerate(_folders(scenario, "solutions")):
        rows.append(Row(name=folder.name, kind="solution", seed=seeds[number % len(seeds)], folder=folder))
    rows += list(_shortcut_rows(scenario, drawn))
    covered = {row.fault for row in rows if row.kind == "shortcut"}
    return Plan(rows=tuple(rows), uncovered=tuple(form.id for form in scenario.forms if form.id not in covered))


def covering_seeds(scenario: Scenario) -> list[int]:
    """Seeds from 1 on whose variants draw every form at least once, chosen greedily.

    Raises ScenarioError when some form is drawn by none of the first SEEDS_TRIED seeds.
    """
    missing = {form.id for form in scenario.forms}
    drawn = {seed: {fault.id for fault in variants.draw(scenario, seed).faults} for seed in range(1, SEEDS_TRIED + 1)}
    seeds: list[int] = []
    while missing:
        best = max(drawn, key=lambda seed: (len(drawn[seed] & missing), -seed))
        if not drawn[best] & missing:
            raise ScenarioError(f"No seed up to {SEEDS_TRIED} draws {', '.join(sorted(missing))}.")
        missing -= drawn[best]
        seeds.append(best)
    return sorted(seeds)


def rotating(rows: Sequence[Row], commit: str, shortcuts: int) -> list[Row]:
    """Healthy and untouched on one seed, and as many shortcuts, both turning with the commit."""
    turn = int(hashlib.sha256(commit.encode()).hexdigest(), 16)
    seeds = sorted({row.seed for row in rows})
    seed = seeds[turn % len(seeds)]
    chosen = [row for row in rows if row.seed == seed and row.kind in ("symptoms", "healthy", "untouched")]
    wrong = [row for row in rows if row.kind == "shortcut"]
    start = turn % len(wrong) if wrong else 0
    return chosen + [*wrong[start:], *wrong[:start]][:shortcuts]


def _folders(scenario: Scenario, kind: str) -> list[Path]:
    return sorted(path.parent for path in (scenario.folder / kind).glob("*/apply.py"))


def _shortcut_rows(scenario: Scenario, drawn: Mapping[int, set[str]]) -> Iterator[Row]:
    """Each shortcut once, on the form of its that fewest others were shown on; again only where a form lacks a row."""
    expected = [(folder, read_expect(folder, scenario)) for folder in _folders(scenario, "shortcuts")]
    shown: Counter[str] = Counter()
    for folder, expect in sorted(expected, key=lambda item: len(item[1].faults)):
        fault = min(expect.faults, key=lambda name: (shown[name], name))
        shown[fault] += 1
        yield _shortcut_row(folder, expect, fault, drawn)
    for folder, expect in expected:
        for fault in expect.faults:
            if not shown[fault]:
                shown[fault] += 1
                yield _shortcut_row(folder, expect, fault, drawn)


def _shortcut_row(folder: Path, expect: Expect, fault: str, drawn: Mapping[int, set[str]]) -> Row:
    seed = next(seed for seed in drawn if fault in drawn[seed])
    return Row(name=folder.name, kind="shortcut", seed=seed, folder=folder, fault=fault, expect=expect)


def read_expect(folder: Path, scenario: Scenario) -> Expect:
    """expect.toml of a shortcut. Raises ScenarioError for unknown faults or checks."""
    path = folder / "expect.toml"
    try:
        expect = Expect.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as exc:
        raise ScenarioError(f"{path}: {exc}") from exc
    forms = {form.id for form in scenario.forms}
    checks = {check.id for check in scenario.spec.check}
    unknown = [name for name in expect.faults if name not in forms]
    unknown += [name for name in (*expect.fails, *expect.may_fail) if name not in checks]
    if unknown:
        raise ScenarioError(f"{path}: there is no {', '.join(unknown)}.")
    return expect


# --- one row ---------------------------------------------------------------------------------------------------------


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
        seconds=record.seconds,
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
    return Cell(row=row.id, kind=row.kind, good=not differs, low=0, high=0, failed=(), differs=tuple(differs))


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


# --- all rows --------------------------------------------------------------------------------------------------------


class Ledger:
    """Cells that were run before, so that a stopped proof goes on where it stopped.

    A cell counts only for the same scenario, harness and packages.
    """

    def __init__(self, folder: Path, scenario: Scenario) -> None:
        parts = [tree_digest(scenario.folder), tree_digest(Path(__file__).parent)]
        parts += [metadata.version(name) for name in grading.PACKAGES]
        self._folder = folder / hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]

    def get(self, row: Row) -> Cell | None:
        """The cell of a row, if it was run."""
        path = self._path(row)
        return Cell.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None

    def put(self, row: Row, cell: Cell) -> None:
        """Keep a cell."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path(row).write_text(cell.model_dump_json(indent=1), encoding="utf-8")

    def _path(self, row: Row) -> Path:
        return self._folder / f"{hashlib.sha256(row.id.encode()).hexdigest()[:16]}.json"


def prove(
    rows: Sequence[Row],
    scenario: Scenario,
    layouts: Layouts,
    runtime: Runtime,
    folder: Path,
    progress: Callable[[Row, str, int, int], None],
    fresh: bool = False,
) -> Iterator[Cell]:
    """Run the rows one after the other, yielding each cell; rows that were run before are not run again."""
    ledger = Ledger(folder / "ledger", scenario)
    for row in rows:
        cell = None if fresh else ledger.get(row)
        if cell is None:
            cell = run_row(
                row,
                scenario,
                layouts,
                runtime,
                folder / "row",
                lambda what, done, of, row=row: progress(row, what, done, of),  # type: ignore[misc]
            )
            ledger.put(row, cell)
        yield cell


def markdown(scenario: Scenario, proof: Plan, cells: Sequence[Cell]) -> str:
    """The proof as a page: matrix, seeds and versions."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in grading.PACKAGES)
    seeds = ", ".join(str(seed) for seed in sorted({row.seed for row in proof.rows}))
    lines = [
        f"# Proof of {scenario.spec.id}",
        "",
        f"Made by `exam prove {scenario.spec.id} --write`. Seeds: {seeds}. Versions: {versions}.",
        "",
        "A shortcut is everything healthy but for one fault and a wrong repair of it; it runs the checks of that",
        "fault's slot and those that its expect.toml names. Other rows run every check.",
        "",
        "| row | must get | got | failed checks | as it must |",
        "| --- | --- | --- | --- | --- |",
    ]
    by_id = {row.id: row for row in proof.rows}
    for cell in cells:
        row = by_id[cell.row]
        failed = ", ".join(cell.failed) or "none"
        if cell.kind == "untouched":
            failed = f"{len(cell.failed)} checks"
        note = "yes" if cell.good else "NO: " + "; ".join(cell.differs)
        lines.append(f"| {cell.row} | {_must(row)} | {_got(cell)} | {failed} | {note} |")
    lines += ["", f"Fault forms without a row: {', '.join(proof.uncovered) or 'none'}.", ""]
    return "\n".join(lines)


def _must(row: Row) -> str:
    if row.kind == "symptoms":
        return "every symptom above the clean p99"
    if row.kind == "untouched":
        return f"at most {UNTOUCHED_AT_MOST:g}"
    if row.expect is not None:
        return "fails " + ", ".join(row.expect.fails)
    return "100"


def _got(cell: Cell) -> str:
    if cell.kind in ("symptoms", "shortcut"):
        return "-"
    return f"{cell.low:g}" if cell.low == cell.high else f"{cell.low:g}-{cell.high:g}"
