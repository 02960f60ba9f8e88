"""Which rows a proof has: on which seeds, and which wrong repair is shown on which fault form."""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from harness import variant as variants
from harness.errors import ScenarioError
from harness.model import Record
from harness.scenario import Scenario

SEEDS_TRIED = 400

HEALTHY_SEEDS = 2
"""The healthy tree is the same whatever is drawn: it is shown in so many worlds."""

KINDS = ("healthy", "untouched", "repaired", "solution", "shortcut")
"""Kinds of rows that boot stacks."""


class Expect(Record):
    """expect.toml of a shortcut: the fault forms it is for, the checks it must fail, and those it may fail besides.

    `hidden_by` are forms for which a check forgives it: it is shown on a variant without them.
    """

    faults: tuple[str, ...]
    fails: tuple[str, ...]
    may_fail: tuple[str, ...] = ()
    hidden_by: tuple[str, ...] = ()
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


class Plan(Record):
    """The rows of a proof, the forms that no shortcut is for, and the checks that no shortcut must fail.

    A check that was never seen to fail may be one that cannot.
    """

    rows: tuple[Row, ...]
    uncovered: tuple[str, ...]
    unfailed: tuple[str, ...]


def plan(scenario: Scenario) -> Plan:
    """Every row of a scenario's proof, on as few seeds as cover every fault form."""
    seeds = covering_seeds(scenario)
    rows: list[Row] = []
    for number, seed in enumerate(seeds):
        kinds = ("symptoms", "untouched", "repaired", *(("healthy",) if number < HEALTHY_SEEDS else ()))
        rows += [Row(name=name, kind=name, seed=seed) for name in kinds]
    for number, folder in enumerate(_folders(scenario, "solutions")):
        rows.append(Row(name=folder.name, kind="solution", seed=seeds[number % len(seeds)], folder=folder))
    rows += list(_shortcut_rows(scenario, seeds))
    covered = {row.fault for row in rows if row.kind == "shortcut"}
    failed = {check for row in rows if row.expect is not None for check in row.expect.fails}
    return Plan(
        rows=tuple(rows),
        uncovered=tuple(form.id for form in scenario.forms if form.id not in covered),
        unfailed=tuple(check.id for check in scenario.spec.check if check.id not in failed),
    )


def covering_seeds(scenario: Scenario) -> list[int]:
    """The fewest seeds found whose variants draw every form at least once: greedily, from each first seed in turn.

    Raises ScenarioError when some form is drawn by none of the seeds 1 to SEEDS_TRIED.
    """
    drawn = {seed: _drawn(scenario, seed) for seed in range(1, SEEDS_TRIED + 1)}
    undrawn = {form.id for form in scenario.forms}.difference(*drawn.values())
    if undrawn:
        raise ScenarioError(f"No seed up to {SEEDS_TRIED} draws {', '.join(sorted(undrawn))}.")
    everything = {form.id for form in scenario.forms}
    return min((_cover(first, drawn, everything) for first in drawn), key=lambda seeds: (len(seeds), seeds))


def _drawn(scenario: Scenario, seed: int) -> frozenset[str]:
    return frozenset(fault.id for fault in variants.draw(scenario, seed).faults)


def _cover(first: int, drawn: Mapping[int, frozenset[str]], everything: set[str]) -> list[int]:
    seeds, missing = [first], everything - drawn[first]
    while missing:
        best = max(drawn, key=lambda seed: (len(drawn[seed] & missing), -seed))
        missing -= drawn[best]
        seeds.append(best)
    return sorted(seeds)


def rotating(rows: Sequence[Row], commit: str, shortcuts: int) -> list[Row]:
    """Symptoms, the repaired and the untouched variant, and as many shortcuts, all turning with the commit."""
    turn = int(hashlib.sha256(commit.encode()).hexdigest(), 16)
    of_kind = {kind: [row for row in rows if row.kind == kind] for kind in ("symptoms", "repaired", "untouched")}
    chosen = [each[turn % len(each)] for each in of_kind.values() if each]
    wrong = [row for row in rows if row.kind == "shortcut"]
    start = turn % len(wrong) if wrong else 0
    return chosen + [*wrong[start:], *wrong[:start]][:shortcuts]


def rotating_one(rows: Sequence[Row], commit: str) -> list[Row]:
    """One row that boots stacks, turning with the commit: by kinds, so that shortcuts do not crowd out the rest."""
    turn = int(hashlib.sha256(commit.encode()).hexdigest(), 16)
    kinds = [kind for kind in KINDS if any(row.kind == kind for row in rows)]
    of_kind = [row for row in rows if row.kind == kinds[turn % len(kinds)]]
    return [of_kind[turn // len(kinds) % len(of_kind)]]


def shown_anywhere(rows: Sequence[Row]) -> list[Row]:
    """Rows that every runtime must give the same verdicts: the healthy tree, the untouched variant, every shortcut."""
    first = [next(row for row in rows if row.kind == kind) for kind in ("healthy", "untouched")]
    return [*first, *(row for row in rows if row.kind == "shortcut")]


def _folders(scenario: Scenario, kind: str) -> list[Path]:
    return sorted(path.parent for path in (scenario.folder / kind).glob("*/apply.py"))


def _shortcut_rows(scenario: Scenario, seeds: Sequence[int]) -> Iterator[Row]:
    """Each shortcut once, on that of its forms which has the fewest rows so far; again only where a form has none."""
    expected = [(folder, read_expect(folder, scenario)) for folder in _folders(scenario, "shortcuts")]
    drawn = {seed: _drawn(scenario, seed) for seed in seeds}
    shown: Counter[str] = Counter()
    for folder, expect in sorted(expected, key=lambda item: len(item[1].faults)):
        fault = min(expect.faults, key=lambda name: (shown[name], name))
        shown[fault] += 1
        yield _shortcut_row(scenario, folder, expect, fault, drawn)
    for folder, expect in expected:
        for fault in expect.faults:
            if not shown[fault]:
                shown[fault] += 1
                yield _shortcut_row(scenario, folder, expect, fault, drawn)


def _shortcut_row(
    scenario: Scenario, folder: Path, expect: Expect, fault: str, drawn: Mapping[int, frozenset[str]]
) -> Row:
    """On the first of the proof's seeds that shows it; where none does, on the first of all that were tried."""
    others = ((seed, _drawn(scenario, seed)) for seed in range(1, SEEDS_TRIED + 1))
    hidden = set(expect.hidden_by)
    fit = (seed for seed, faults in chain(drawn.items(), others) if fault in faults and not faults & hidden)
    seed = next(fit, None)
    if seed is None:
        raise ScenarioError(f"{folder}: no seed up to {SEEDS_TRIED} draws {fault} without {', '.join(sorted(hidden))}.")
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
    unknown = [name for name in (*expect.faults, *expect.hidden_by) if name not in forms]
    unknown += [name for name in (*expect.fails, *expect.may_fail) if name not in checks]
    if unknown:
        raise ScenarioError(f"{path}: there is no {', '.join(unknown)}.")
    return expect
