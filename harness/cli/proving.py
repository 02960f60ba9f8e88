"""`exam prove`: shows its rows as they come, and writes the proof's page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness import console, proof
from harness import scenario as scenarios
from harness.cli.app import AUTHORS, AsJson, Roots, ScenarioId, command, people, session
from harness.errors import ExamError, UsageError
from harness.runtimes import runtime_named
from harness.scenario import Scenario
from harness.session import Session

PAGES = Path("docs/proof")
AS_PROCESSES = "process"


@command(AUTHORS, "exam prove stale_predictions --row healthy")
def prove(
    scenario: ScenarioId,
    row: Annotated[list[str] | None, typer.Option(help="Only rows whose name begins so; repeatable.")] = None,
    rotate: Annotated[str, typer.Option(help="Only the rows whose turn it is at this commit.")] = "",
    shortcuts: Annotated[int, typer.Option(help="How many shortcuts are in a turn.")] = 3,
    one: Annotated[bool, typer.Option("--one", help="Only one row in a turn.")] = False,
    write: Annotated[bool, typer.Option(help="Write docs/proof/SCENARIO.md, and its cells beside it.")] = False,
    recorded: Annotated[
        bool, typer.Option(help="Do not run rows again that docs/proof has of this very code.")
    ] = False,
    fresh: Annotated[bool, typer.Option(help="Run rows again that were run before.")] = False,
    dry: Annotated[bool, typer.Option(help="Only list the rows.")] = False,
    runtime: Annotated[str, typer.Option(help="How the stacks run.")] = "process",
    seeds: Annotated[int | None, typer.Option(min=1, help="Check so many variants instead, without a stack.")] = None,
    scenarios_: Roots = None,
    json: AsJson = False,
) -> None:
    """Prove that the scenario grades right. Stopped, it goes on where it stopped.

    On another runtime than this machine's processes, rows are those that must get the same verdicts everywhere.

    With `--seeds 200` no row is run: variants are laid out and looked at, in seconds. Each must apply, differ from the
    one before, come out the same again, and hold neither its cause nor healthy text.
    """
    here = session(scenarios_)
    found = scenarios.find(scenario, here.roots)
    if seeds is not None:
        if row or rotate or write or fresh or dry or recorded:
            raise UsageError("--seeds runs no rows.", f"Run `exam prove {scenario} --seeds {seeds}` alone.")
        _prove_seeds(found, seeds, json)
        return
    plan = proof.plan(found)
    shown = plan.rows if runtime == AS_PROCESSES else proof.shown_anywhere(plan.rows)
    rows = _turn(shown, rotate, shortcuts, one) if rotate else _named(plan, row or [], shown)
    if not rows:
        raise UsageError("No row has such a name.", f"Run `exam prove {scenario} --dry` to see them.")
    if dry:
        _list(rows, json)
        return
    ledger = _ledger(here, found, runtime, recorded)
    lines = people(json)
    cells = _prove(here, found, rows, runtime, ledger, fresh, lines)
    if json:
        console.show_json([cell.model_dump(mode="json") for cell in cells])
    if write:
        for path in _write(here, found, plan, runtime):
            lines.print(f"Written: {path}", markup=False)
    _conclude(cells, () if row or rotate else (*plan.uncovered, *plan.unfailed), lines)


def _list(rows: Sequence[proof.Row], json: bool) -> None:
    if json:
        console.show_json([{"row": each.id, **each.model_dump(include={"name", "fault", "seed"})} for each in rows])
    else:
        console.table(["row", "fault", "seed"], [[each.name, each.fault, str(each.seed)] for each in rows])


def _conclude(cells: Sequence[proof.Cell], unshown: Sequence[str], lines: Console) -> None:
    """Say how many rows are good. Raises ExamError where one is not, or something has no row that shows it."""
    wrong = [cell.row for cell in cells if not cell.good]
    lines.print(f"{len(cells) - len(wrong)} of {len(cells)} rows as expected")
    if wrong or unshown:
        raise ExamError(f"The proof does not hold: {', '.join([*wrong, *unshown])}.", "Look at what differs above.")


def _named(plan: proof.Plan, names: Sequence[str], shown: Sequence[proof.Row]) -> list[proof.Row]:
    """The rows whose name begins so; without names all that the runtime must show.

    Raises UsageError for a name with which none begins: a proof that leaves it out would hold.
    """
    for name in names:
        if not any(row.id.startswith(name) for row in plan.rows):
            raise UsageError(f"No row's name begins with {name!r}.", "Run `exam prove SCENARIO --dry` to see them.")
    return [row for row in plan.rows if any(row.id.startswith(name) for name in names)] if names else list(shown)


def _turn(shown: Sequence[proof.Row], commit: str, shortcuts: int, one: bool) -> list[proof.Row]:
    return proof.rotating_one(shown, commit) if one else proof.rotating(shown, commit, shortcuts)


def _known_as(found: Scenario, runtime: str) -> str:
    return found.spec.id if runtime == AS_PROCESSES else f"{found.spec.id}-{runtime}"


def _ledger(here: Session, found: Scenario, runtime: str, recorded: bool) -> proof.Ledger:
    known_as = _known_as(found, runtime)
    record = PAGES / f"{known_as}.json" if recorded else None
    return proof.Ledger(here.home / "proof" / known_as / "ledger", found, runtime, record)


def _write(here: Session, found: Scenario, plan: proof.Plan, runtime: str) -> tuple[Path, Path]:
    """Write the page of what is known, and its record; returns both paths."""
    ledger = _ledger(here, found, runtime, True)
    page = PAGES / f"{_known_as(found, runtime)}.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    cells, earlier = _known(ledger, plan.rows)
    if runtime == AS_PROCESSES:
        text = proof.markdown(found, plan, list(cells.values()), earlier)
    else:
        processes, earlier_too = _known(_ledger(here, found, AS_PROCESSES, True), plan.rows)
        shown = proof.shown_anywhere(plan.rows)
        text = proof.parity(found, shown, runtime, processes, cells, earlier_too, earlier)
    page.write_text(text, encoding="utf-8")
    record = page.with_suffix(".json")
    ledger.write_record(plan.rows, record)
    return page, record


def _known(ledger: proof.Ledger, rows: Sequence[proof.Row]) -> tuple[dict[str, proof.Cell], set[str]]:
    """Cells by row id, and of which rows they are of earlier code."""
    known = {row.id: cell for row in rows if (cell := ledger.get(row)) is not None}
    earlier = {row.id: cell for row in rows if (cell := ledger.earlier(row)) is not None}
    return known | earlier, set(earlier)


def _prove(
    here: Session,
    found: Scenario,
    rows: list[proof.Row],
    runtime: str,
    ledger: proof.Ledger,
    fresh: bool,
    lines: Console,
) -> list[proof.Cell]:
    cells: list[proof.Cell] = []
    runner, folder = runtime_named(runtime, here.home), here.home / "proof" / _known_as(found, runtime)
    with console.grading_bar(found.spec.id) as progress:

        def step(row: proof.Row, what: str, done: int, of: int) -> None:
            progress(f"[{len(cells) + 1}/{len(rows)}] {row.id}: {what}", done, of)

        for cell in proof.prove(rows, found, here.layouts, runner, folder, ledger, step, fresh):
            cells.append(cell)
            mark = console.MARKS[cell.good]
            detail = "; ".join(cell.differs)
            lines.print(f"{mark} {cell.row} {cell.low:g}-{cell.high:g} {cell.seconds:.0f} s {console.escape(detail)}")
    return cells


def _prove_seeds(found: Scenario, count: int, json: bool) -> None:
    cells: list[proof.SeedCell] = []
    with console.grading_bar(found.spec.id) as progress:
        for cell in proof.prove_seeds(found, count):
            cells.append(cell)
            progress(f"seed {cell.seed}", len(cells), count)
    told = proof.summary(found, cells)
    if json:
        console.show_json({"seeds": [cell.model_dump() for cell in cells], "summary": told.model_dump()})
    else:
        _show_seeds(cells, told)
    wrong = [*(f"seed {seed}" for seed in told.failed), *(["the points at stake"] if told.problems else [])]
    if wrong:
        raise ExamError(f"The proof does not hold: {', '.join(wrong)}.", "Look at what stands above.")


def _show_seeds(cells: list[proof.SeedCell], told: proof.SeedsSummary) -> None:
    for cell in cells:
        for problem in cell.problems:
            console.out.print(f"{console.MARKS[False]} seed {cell.seed}: {console.escape(problem)}")
    for problem in told.problems:
        console.out.print(f"{console.MARKS[False]} {problem}")
    console.table(["form", "drawn"], [[form, str(times)] for form, times in told.drawn.items()])
    console.out.print()
    console.table(
        ["points at stake", "least", "most"],
        [[skill, f"{low:g}", f"{high:g}"] for skill, (low, high) in told.points.items()],
    )
    console.out.print(
        f"\n{len(cells) - len(told.failed)} of {len(cells)} seeds as expected; "
        f"{told.sets_of_forms} different sets of forms"
    )
