"""The proof of a scenario as a page, and what another runtime says of the same rows."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from importlib import metadata

from harness import grading
from harness.proof.rows import Plan, Row
from harness.proof.run import UNTOUCHED_AT_MOST, Cell
from harness.scenario import Scenario

EARLIER = "†"


def markdown(scenario: Scenario, proof: Plan, cells: Sequence[Cell], earlier: Container[str] = ()) -> str:
    """The proof as a page: matrix, seeds and versions. Rows whose ids are in `earlier` were run with other code."""
    seeds = ", ".join(str(seed) for seed in sorted({row.seed for row in proof.rows}))
    lines = [
        f"# Proof of {scenario.spec.id}",
        "",
        f"Made by `exam prove {scenario.spec.id} --write`. Seeds: {seeds}. Versions: {_versions()}.",
        "",
        "A shortcut is everything healthy but for one fault and a wrong repair of it; it runs the checks of that",
        "fault's slot and those that its expect.toml names: of these it fails or may fail some, and passes the rest.",
        "Other rows run every check.",
        "",
        *_age([row.id for row in proof.rows], earlier),
        "| row | expected | got | failed checks | as expected |",
        "| --- | --- | --- | --- | --- |",
    ]
    got = {cell.row: cell for cell in cells}
    lines += [_line(row, got.get(row.id), _named(row, earlier)) for row in proof.rows]
    lines += [
        "",
        f"Fault forms without a shortcut: {', '.join(proof.uncovered) or 'none'}. "
        f"Checks that no shortcut must fail: {', '.join(proof.unfailed) or 'none'}.",
        "",
    ]
    return "\n".join(lines)


def parity(
    scenario: Scenario,
    rows: Sequence[Row],
    runtime: str,
    here: Mapping[str, Cell],
    there: Mapping[str, Cell],
    old_here: Container[str] = (),
    old_there: Container[str] = (),
) -> str:
    """Verdicts by row id: `here` those of processes on this machine, `there` those of another runtime.

    Rows whose ids are in `old_here` or `old_there` were run with other code.
    """
    ids = [row.id for row in rows]
    lines = [
        f"# {scenario.spec.id} on {runtime}",
        "",
        f"Made by `exam prove {scenario.spec.id} --runtime {runtime} --write`. Versions: {_versions()}.",
        "",
        *_age(ids, old_here, " as processes"),
        *_age(ids, old_there, f" on {runtime}"),
        f"| row | failed as processes | failed on {runtime} | same |",
        "| --- | --- | --- | --- |",
        *(_parity_line(each, here.get(each), there.get(each), each in old_here, each in old_there) for each in ids),
        "",
    ]
    return "\n".join(lines)


def same_verdicts(one: Cell, other: Cell) -> bool:
    """Whether the same checks failed, and all others passed, in both."""
    return set(one.failed) == set(other.failed) and not one.unsure and not other.unsure


def _age(ids: Sequence[str], earlier: Container[str], where: str = "") -> list[str]:
    old = sum(each in earlier for each in ids)
    if not old:
        return []
    return [f"{old} of {len(ids)} rows{where}, marked {EARLIER}, were run before harness or scenario last changed.", ""]


def _named(row: Row, earlier: Container[str]) -> str:
    return f"{row.id} {EARLIER}" if row.id in earlier else row.id


def _parity_line(name: str, here: Cell | None, there: Cell | None, old_here: bool, old_there: bool) -> str:
    same = "" if here is None or there is None else "yes" if same_verdicts(here, there) else "NO"
    return f"| {name} | {_failed(here, old_here)} | {_failed(there, old_there)} | {same} |"


def _failed(cell: Cell | None, old: bool) -> str:
    if cell is None:
        return "not run"
    return (", ".join(cell.failed) or "none") + (f" {EARLIER}" if old else "")


def _versions() -> str:
    return ", ".join(f"{name} {metadata.version(name)}" for name in grading.PACKAGES)


def _line(row: Row, cell: Cell | None, name: str) -> str:
    if cell is None:
        return f"| {name} | {_must(row)} | not run | | |"
    failed = f"{len(cell.failed)} checks" if row.kind == "untouched" else ", ".join(cell.failed) or "none"
    note = "yes" if cell.good else "NO: " + "; ".join(cell.differs)
    return f"| {name} | {_must(row)} | {_got(cell)} | {failed} | {note} |"


def _must(row: Row) -> str:
    if row.kind == "symptoms":
        return "every symptom above the clean p99"
    if row.kind == "untouched":
        return f"at most {UNTOUCHED_AT_MOST:g}"
    if row.expect is not None:
        left_open = f"; may fail {', '.join(row.expect.may_fail)}" if row.expect.may_fail else ""
        return f"fails {', '.join(row.expect.fails)}{left_open}"
    return "100"


def _got(cell: Cell) -> str:
    if cell.kind in ("symptoms", "shortcut"):
        return "-"
    return f"{cell.low:g}" if cell.low == cell.high else f"{cell.low:g}-{cell.high:g}"
