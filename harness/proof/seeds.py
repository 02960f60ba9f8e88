"""Proves many seeds of a scenario without starting a stack: what each one breaks, and what could be read off it.

Only the healthy tree and the edits of faults are laid out, not the story with its registry, so that hundreds of seeds
take seconds. Each seed must show that

- its faults apply, change files of the workspace and nothing else, and speak the words of scenario.toml;
- it draws another world than the seed before, and the same one in another process (where sets have another order);
- the brief holds neither a form's name nor a kind of what is drawn;
- no healthy text stands beside the broken one: no backup, no history, no line that was only commented out.

And over all of them the points at stake for a skill stay within SPREAD_AT_MOST of each other.
"""

from __future__ import annotations

import fnmatch
import math
import multiprocessing
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import scenario as scenarios
from harness import variant as variants
from harness.layout import site_in
from harness.model import DrawnFault, Record, Site, Skill, Variant
from harness.scenario import Scenario, ScenarioSpec
from harness.workspace import changes, copy_tree, digests

SPREAD_AT_MOST = 5.0
"""Points by which a skill may be at stake more in one variant than in another: else scores do not compare."""

BACKUPS = (
    *("*.orig", "*.bak", "*.old", "*.rej", "*.swp", "*~", "*.patch", "*.diff", "*.pyc", "*.pyo"),
    *("__pycache__", ".ipynb_checkpoints", ".history", ".git", ".hg", ".svn"),
)
COMMENT = re.compile(r"(?:#|//|--|;)+\s*(\S.*)$")
TELLING = 12
"""Characters of a line that make it one of its own; shorter ones ("return None") stand anywhere."""


class SeedCell(Record):
    """What one seed draws, the points at stake by skill, and what is wrong with it, one sentence each."""

    seed: int
    faults: tuple[str, ...] = ()
    points: Mapping[str, float] = {}
    problems: tuple[str, ...] = ()


class SeedsSummary(Record):
    """Many seeds together: least and most points at stake by skill, how often each form was drawn, what is wrong."""

    points: Mapping[str, tuple[float, float]]
    drawn: Mapping[str, int]
    sets_of_forms: int
    failed: tuple[int, ...]
    problems: tuple[str, ...]


def prove_seeds(scenario: Scenario, count: int) -> Iterator[SeedCell]:
    """Look at the seeds 1 to `count`, one after the other; a second process lays them out again."""
    seeds = range(1, count + 1)
    before: Variant | None = None
    with _another_process() as pool, TemporaryDirectory(prefix="exam-seeds-") as folder:
        again = pool.map(_print_of, repeat(scenario.folder), seeds, chunksize=4)
        for seed, other in zip(seeds, again, strict=True):
            cell, variant = look_at(scenario, seed, Path(folder) / str(seed), before, other)
            before = variant or before
            yield cell


def summary(scenario: Scenario, cells: Sequence[SeedCell]) -> SeedsSummary:
    """What the seeds say together."""
    spread = {}
    for skill in Skill:
        at_stake = [cell.points[skill] for cell in cells if cell.points]
        spread[skill.value] = (min(at_stake, default=0.0), max(at_stake, default=0.0))
    drawn = Counter(fault for cell in cells for fault in cell.faults)
    return SeedsSummary(
        points=spread,
        drawn={form.id: drawn[form.id] for form in scenario.forms},
        sets_of_forms=len({cell.faults for cell in cells}),
        failed=tuple(cell.seed for cell in cells if cell.problems),
        problems=tuple(
            f"{skill}: {low:g} points are at stake in one variant and {high:g} in another, "
            f"more than {SPREAD_AT_MOST:g} apart"
            for skill, (low, high) in spread.items()
            if high - low > SPREAD_AT_MOST
        ),
    )


def causes_in(brief: str, fault: DrawnFault) -> list[str]:
    """The form's name and the kinds of a fault that a brief holds, however its words are joined.

    A component and a kind together would name the cause most clearly, but the kind alone is too much already.
    """
    found = []
    for word in (fault.form, *dict.fromkeys(kind for _, kind in fault.pairs)):
        joined = r"[\s_-]+".join(re.escape(part) for part in re.split(r"[_-]", word))
        if re.search(rf"(?<![a-z0-9]){joined}(?![a-z0-9])", brief, re.IGNORECASE):
            found.append(word)
    return found


def healthy_beside(healthy: Path, broken: Path) -> Iterator[str]:
    """What of the healthy tree a candidate could find in the broken one without looking for the fault."""
    for place in sorted(broken.rglob("*")):
        if any(fnmatch.fnmatch(place.name, pattern) for pattern in BACKUPS):
            yield f"{place.relative_to(broken).as_posix()} may hold what stood there before"
    given, now = digests(healthy), digests(broken)
    changed = changes(given, now)
    gone = {given[change.path]: change.path for change in changed if change.how != "added"}
    for path, digest in now.items():
        if digest in gone and given.get(path) != digest:
            yield f"{path} is a copy of the healthy {gone[digest]}"
    removed = {
        line
        for change in changed
        for line in _lines(healthy / change.path) - _lines(broken / change.path)
        if len(line) >= TELLING
    }
    for change in changed:
        for line in sorted(_lines(broken / change.path) - _lines(healthy / change.path)):
            comment = COMMENT.search(line)
            if comment is not None and comment.group(1) in removed:
                yield f"{change.path} holds a healthy line as a comment: {comment.group(1)[:60]}"


def points_at_stake(spec: ScenarioSpec, variant: Variant) -> dict[str, float]:
    """Points of the drawn slots' checks by skill; those of the diagnosis are the same in every variant."""
    slots = {fault.slot for fault in variant.faults}
    return {
        skill.value: math.fsum(check.points for check in spec.check if check.skill is skill and check.slot in slots)
        for skill in Skill
    }


def look_at(
    scenario: Scenario, seed: int, folder: Path, before: Variant | None = None, other: str | None = None
) -> tuple[SeedCell, Variant | None]:
    """One seed, laid out below `folder`, compared with the seed before and with what another process made of it.

    Either is left out where there is none. The variant is None where it cannot be drawn.
    """
    problems: list[str] = []
    try:
        variant = variants.draw(scenario, seed)
    except Exception as exc:  # noqa: BLE001  # an author's code may raise anything
        return SeedCell(seed=seed, problems=(f"it cannot be drawn: {_said(exc)}",)), None
    if before is not None and _world(variant) == _world(before):
        problems.append(f"it draws the same as seed {before.seed}")
    problems += [problem for fault in variant.faults for problem in _words(scenario, fault)]
    site = site_in(folder)
    problems += _laid_out(scenario, variant, site)
    if not problems and other is not None and _print(variant, site) != other:
        problems.append("another process lays it out in another way")
    problems += healthy_beside(scenario.folder / "workspace", site.workspace)
    faults = tuple(fault.id for fault in variant.faults)
    points = points_at_stake(scenario.spec, variant)
    return SeedCell(seed=seed, faults=faults, points=points, problems=tuple(problems)), variant


def _laid_out(scenario: Scenario, variant: Variant, site: Site) -> list[str]:
    """Put the healthy tree and the faults' edits into an empty site; what did not work."""
    copy_tree(scenario.folder / "workspace", site.workspace)
    problems = []
    for fault in variant.faults:
        given = digests(site.workspace)
        try:
            variants.form_of(scenario.forms, fault).apply(site, fault)
        except Exception as exc:  # noqa: BLE001  # as above
            problems.append(f"{fault.id} does not apply: {_said(exc)}")
            continue
        if not changes(given, digests(site.workspace)):
            problems.append(f"{fault.id} changes no file of the workspace")
        if site.story or any(site.registry.iterdir()) or any(site.private.iterdir()):
            problems.append(f"{fault.id}: apply changes more than files of the workspace; that belongs in tell")
            site.story.clear()
    return problems


def _words(scenario: Scenario, fault: DrawnFault) -> Iterator[str]:
    """What a drawn fault says in other words than scenario.toml, or gives away in the brief."""
    spec = scenario.spec
    slots = {check.id: check.slot for check in spec.check}
    for component, kind in fault.pairs:
        if component not in spec.diagnosis.components or kind not in spec.diagnosis.kinds:
            yield f"{fault.id}: the pair {component}, {kind} is not of the vocabulary"
    for check in fault.shows_in:
        if slots.get(check) != fault.slot:
            yield f"{fault.id}: shows_in names {check}, which is no check of its slot"
    for check in fault.also_breaks:
        if slots.get(check, fault.slot) == fault.slot:
            yield f"{fault.id}: also_breaks names {check}, which is no check of another slot"
    for word in causes_in(scenario.brief, fault):
        yield f"{fault.id}: the brief names its cause, {word}"


@contextmanager
def _another_process() -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _print_of(folder: Path, seed: int) -> str:
    """The fingerprint of a seed, from the scenario's folder alone; "" where it cannot be laid out."""
    scenario = scenarios.load(folder)
    with TemporaryDirectory(prefix="exam-seeds-") as place:
        site = site_in(Path(place))
        try:
            variant = variants.draw(scenario, seed)
        except Exception:  # noqa: BLE001  # as above; the first process says it
            return ""
        _laid_out(scenario, variant, site)
        return _print(variant, site)


def _print(variant: Variant, site: Site) -> str:
    return f"{_world(variant)} {sorted(digests(site.workspace).items())}"


def _world(variant: Variant) -> str:
    return variant.model_copy(update={"seed": 0}).model_dump_json()


def _said(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"


def _lines(path: Path) -> set[str]:
    """The lines of a text file without the space around them; none of a file that is not there or no text."""
    try:
        return {line.strip() for line in path.read_text(encoding="utf-8").splitlines()}
    except (OSError, UnicodeDecodeError):
        return set()
