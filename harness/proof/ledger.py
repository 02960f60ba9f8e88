"""Runs the rows of a proof one after the other, and remembers what each one got."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import harness
from harness import grading
from harness.layout import Layouts
from harness.proof.rows import Row
from harness.proof.run import Cell, run_row
from harness.runtime.base import Runtime
from harness.scenario import Scenario
from harness.workspace import digests, file_digest, tree_digest

NOT_GRADING = (
    "attempt.py",
    "authoring",
    "benchmark.py",
    "benchmark_compose.py",
    "by_hand.py",
    "cli",
    "client",
    "console.py",
    "demo.py",
    "figures.py",
    "leading.py",
    "led.py",
    "proctor",
    "proof",
    "report",
    "runtimes.py",
    "session.py",
    "starting.py",
    "vocabulary.py",
)
"""Parts of the harness that cannot change what a row gets, but for those of GRADING."""

GRADING = ("proof/run.py",)
"""Files in NOT_GRADING's folders that can."""

OF_RUNTIME = {"process": ("runtime/process.py",), "compose": ("runtime/compose/", "runtime/inside/")}
"""Parts that can only where that runtime runs the stacks."""

UNDER_LOAD = (
    "probes/load.py",
    "probes/load_capacity.py",
    "probes/load_driver.py",
    "probes/load_plan.py",
    "runtime/compose/driver.py",
)
BASE_UNDER_LOAD = ("drills/load.py",)
OWN_UNDER_LOAD = ("grader/drills/speed.py",)
"""Parts, of the harness, of what scenarios share and of a scenario, that can only where something is measured under
load."""

IMAGES = ("Dockerfile", "compose.yaml")

MEASURED_AT_MOST = 2
"""A row in which some check was too noisy to say anything is measured once more, and that stands."""


class Ledger:
    """Cells that were run before, so that a stopped proof goes on where it stopped.

    A cell counts only for the same packages, harness and scenario, of which only what can change a grade is looked at:
    not pages, not the command line, not other rows' folders, no comment or docstring of the harness, and how load is
    measured only where it was. `record` is a file of cells that were run elsewhere, by key, as `write_record` makes it:
    a proof takes hours and may be gathered on several machines. A cell of other code stays on record, and counts as
    `earlier`, until its row was run with this.
    """

    def __init__(self, folder: Path, scenario: Scenario, runtime: str, record: Path | None = None) -> None:
        self._folder = folder
        self._recorded: dict[str, Any] = {}
        if record is not None and record.is_file():
            self._recorded = json.loads(record.read_text(encoding="utf-8"))
        root = Path(harness.__file__).parent
        self._common = [metadata.version(name) for name in grading.PACKAGES]
        if runtime == "compose":
            self._common += [f"{name} {file_digest(root.parent / name)}" for name in IMAGES]
        code = {
            path.relative_to(root).as_posix(): code_digest(path)
            for path in sorted(root.rglob("*.py"))
            if _grades(path.relative_to(root), runtime)
        }
        own = digests(scenario.folder, ("solutions", "shortcuts"))
        shared = digests(scenario.base) if scenario.base is not None else {}
        self._common += [f"{path} {digest}" for path, digest in code.items() if path not in UNDER_LOAD]
        self._common += [
            f"{path} {digest}"
            for path, digest in own.items()
            if not path.endswith(".md") and path not in OWN_UNDER_LOAD
        ]
        self._common += [
            f"{path} {digest}"
            for path, digest in shared.items()
            if path.endswith(".py") and path not in BASE_UNDER_LOAD
        ]
        self._under_load = [f"{path} {code[path]}" for path in UNDER_LOAD if path in code]
        self._under_load += [f"{path} {shared[path]}" for path in BASE_UNDER_LOAD if path in shared]
        self._under_load += [f"{path} {own[path]}" for path in OWN_UNDER_LOAD if path in own]

    def get(self, row: Row) -> Cell | None:
        """The cell of a row, if it was run: here, else as it is on record."""
        for under_load in (True, False):
            key = self._key(row, under_load)
            path = self._folder / f"{key}.json"
            if path.is_file():
                return Cell.model_validate_json(path.read_text(encoding="utf-8"))
            if key in self._recorded:
                return Cell.model_validate(self._recorded[key])
        return None

    def earlier(self, row: Row) -> Cell | None:
        """What other code got for a row that this code was not run on, as it is on record."""
        of_row = [cell for cell in self._recorded.values() if cell["row"] == row.id]
        return Cell.model_validate(of_row[-1]) if of_row and self.get(row) is None else None

    def put(self, row: Row, cell: Cell) -> None:
        """Keep a cell."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{self._key(row, cell.under_load)}.json").write_text(
            cell.model_dump_json(indent=1), encoding="utf-8"
        )

    def write_record(self, rows: Sequence[Row], path: Path) -> None:
        """Write the cells of those rows that were run, by key; of a row that this code was not run on the earlier."""
        cells = {
            self._key(row, cell.under_load): cell.model_dump(mode="json")
            for row in rows
            if (cell := self.get(row)) is not None
        }
        ids = {row.id for row in rows if self.get(row) is None}
        cells |= {key: cell for key, cell in self._recorded.items() if cell["row"] in ids}
        path.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")

    def _key(self, row: Row, under_load: bool) -> str:
        parts = [*self._common, *(self._under_load if under_load else [])]
        own = [row.id, *([tree_digest(row.folder)] if row.folder else [])]
        return hashlib.sha256(json.dumps([*parts, *own]).encode()).hexdigest()[:24]


def code_digest(path: Path) -> str:
    """sha256 of what a Python file does, in hexadecimal: comments, docstrings and layout are no part of it."""
    tree = _WithoutDocstrings().visit(ast.parse(path.read_bytes()))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        said = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if said else node


def prove(
    rows: Sequence[Row],
    scenario: Scenario,
    layouts: Layouts,
    runtime: Runtime,
    folder: Path,
    ledger: Ledger,
    progress: Callable[[Row, str, int, int], None],
    fresh: bool = False,
) -> Iterator[Cell]:
    """Run the rows one after the other below `folder`, yielding each cell; what the ledger has is not run again."""
    for row in rows:
        cell = None if fresh else ledger.get(row)
        for _ in range(MEASURED_AT_MOST):
            if cell is not None and not cell.unsure:
                break
            cell = run_row(row, scenario, layouts, runtime, folder / "row", partial(progress, row))
            ledger.put(row, cell)
        assert cell is not None
        yield cell


def _grades(relative: Path, runtime: str) -> bool:
    name = relative.as_posix()
    if any(name.startswith(part) for other, parts in OF_RUNTIME.items() if other != runtime for part in parts):
        return False
    return name in GRADING or relative.parts[0] not in NOT_GRADING
