"""Reads and validates scenarios: `scenario.toml`, and the Python that lies beside it.

A scenario is a folder with a `scenario.toml`. Its Python is loaded as a package named `scenario_<id>`, so that relative
imports work wherever the folder lies. What the scenarios of one place share is the folder `_base` beside them, loaded
as the package `scenario_base`.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field, ValidationError

from harness.errors import ScenarioError, UsageError
from harness.model import CheckSpec, DiagnosisRules, FactSpec, Form, JobSpec, Record, ServiceSpec, Site, Variant

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"
"""Where the public scenarios lie."""

ID = "^[a-z][a-z0-9_]*$"
"""What a scenario's name looks like: it is a folder and a part of a Python package's name."""


class Stratum(Record):
    """Slots of which a variant breaks `draw`: strata fix the skills at stake."""

    draw: int = Field(ge=1)
    """How many of the slots a variant breaks."""
    slots: tuple[str, ...]
    """Each has at least two forms in faults.py; every slot's checks are worth the same together."""


class Apart(Record):
    """Forms that no variant has together, since one would hide whether another was repaired."""

    forms: tuple[str, ...] = Field(min_length=2)
    """Each as slot/form."""
    why: str
    """How one hides another, as one sentence."""


class ScenarioSpec(Record):
    """scenario.toml: what a candidate is given, what may be broken, and what is graded."""

    id: str = Field(pattern=ID)
    """The name of the scenario's folder."""
    title: str
    summary: str
    """One sentence for `exam list`; it names no cause."""
    minutes: float = Field(gt=0)
    """What an attempt is given."""
    fixed: tuple[str, ...] = ()
    """Paths of the workspace that are graded from fresh copies, whatever was done to them."""
    scratch: tuple[str, ...] = ()
    """Paths of the workspace that are not submitted."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables of services and jobs; {url.NAME}, {clock} and the like stand for what an attempt has."""
    service: tuple[ServiceSpec, ...]
    """In the order in which they start."""
    job: tuple[JobSpec, ...]
    stratum: tuple[Stratum, ...]
    """What a variant breaks: one form of each drawn slot."""
    apart: tuple[Apart, ...] = ()
    diagnosis: DiagnosisRules
    fact: tuple[FactSpec, ...]
    check: tuple[CheckSpec, ...]
    """All that is graded; what a drawn slot is worth and the diagnosis are 100 points together."""

    @property
    def slots(self) -> tuple[str, ...]:
        """All slots, in the order of the strata."""
        return tuple(slot for stratum in self.stratum for slot in stratum.slots)

    def kept_apart(self, form: str) -> frozenset[str]:
        """The forms that are not drawn together with this one."""
        return frozenset(other for apart in self.apart if form in apart.forms for other in apart.forms) - {form}

    def points_of(self, slot: str) -> float:
        """Points at stake when a fault of this slot is drawn."""
        return sum(check.points for check in self.check if check.slot == slot)


@dataclass(frozen=True)
class Scenario:
    """A scenario: its folder, and what its scenario.toml says."""

    folder: Path
    spec: ScenarioSpec

    def module(self, name: str) -> ModuleType:
        """One of the scenario's modules, by dotted name below its folder. Raises ScenarioError where it fails."""
        package = f"scenario_{self.spec.id}"
        _ensure_package(package, self.folder)
        if self.base is not None:
            _ensure_package("scenario_base", self.base)
        try:
            return importlib.import_module(f"{package}.{name}")
        except ImportError as exc:
            raise ScenarioError(
                f"{self.spec.id}: {name} does not import: {exc}",
                "Mend the import; a copied scenario needs the folder _base beside it.",
            ) from exc

    @property
    def base(self) -> Path | None:
        """The folder that the scenarios of this place share, where there is one."""
        folder = self.folder.parent / "_base"
        return folder if folder.is_dir() else None

    @property
    def forms(self) -> tuple[Form, ...]:
        """Every fault form of the scenario."""
        forms: tuple[Form, ...] = self.module("faults").FORMS
        return forms

    def repair(self, site: Site, healthy: Site, variant: Variant) -> None:
        """Repair a broken site as an honest candidate would, whatever was drawn. Raises ScenarioError."""
        self.module("repair").repair(site, healthy, variant)

    def story(self) -> Any:
        """The module that draws the story's values and lays out its world."""
        return self.module("story")

    def checks(self) -> Any:
        """The module that grades."""
        return self.module("grader.checks")

    @property
    def brief(self) -> str:
        """What the candidate reads."""
        return (self.folder / "BRIEF.md").read_text(encoding="utf-8")


def load(folder: Path) -> Scenario:
    """Read one scenario. Raises ScenarioError with the first thing that is wrong."""
    folder = folder.absolute()  # an attempt outlives the folder that a terminal stands in
    path = folder / "scenario.toml"
    try:
        spec = ScenarioSpec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise ScenarioError(f"{folder} has no readable scenario.toml") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ScenarioError(f"{path}: {exc}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ScenarioError(f"{path}: {place}: {first['msg']}") from exc
    if spec.id != folder.name:
        raise ScenarioError(f"{path}: id is {spec.id!r}, the folder is named {folder.name!r}")
    return Scenario(folder, spec)


def available(roots: Sequence[Path] = ()) -> Iterator[Scenario]:
    """The scenarios below the public folder and below `roots`, each name once and as `find` finds it.

    Raises UsageError as `find` does.
    """
    _need_folders(roots)
    files = (path for root in (SCENARIOS, *roots) for path in sorted(root.glob("*/scenario.toml")))
    for folder in {path.parent.name: path.parent for path in files}.values():
        yield load(folder)


def find(scenario_id: str, roots: Sequence[Path] = ()) -> Scenario:
    """A scenario by its id; later roots win. Raises UsageError naming those there are, or for a root that is none."""
    _need_folders(roots)
    for root in (*reversed(roots), SCENARIOS):
        if (root / scenario_id / "scenario.toml").is_file():
            return load(root / scenario_id)
    known = ", ".join(scenario.spec.id for scenario in available(roots)) or "none"
    raise UsageError(f"There is no scenario {scenario_id!r}; there are: {known}.", "Run `exam list` to see them.")


def lint(scenario: Scenario) -> list[str]:
    """What is wrong with a scenario beyond its syntax, one sentence each; empty when it is sound."""
    spec = scenario.spec
    problems = [*_lint_checks(spec), *_lint_slots(spec), *_lint_forms(scenario)]
    for name in (
        "BRIEF.md",
        "NOTES.md",
        "workspace",
        "grader/checks.py",
        "grader/public.py",
        "story.py",
        "repair.py",
        "solutions",
        "shortcuts",
    ):
        if not (scenario.folder / name).exists():
            problems.append(f"{name} is missing")
    if len(list((scenario.folder / "solutions").glob("*/apply.py"))) < 2:
        problems.append("there are fewer than two solutions")
    return problems


def _need_folders(roots: Sequence[Path]) -> None:
    for root in roots:
        if not root.is_dir():
            raise UsageError(f"There is no folder {str(root)!r}.", "Name one that holds scenarios with --scenarios.")


def _lint_checks(spec: ScenarioSpec) -> Iterator[str]:
    ids = [check.id for check in spec.check]
    for check_id in sorted({check_id for check_id in ids if ids.count(check_id) > 1}):
        yield f"check {check_id} is declared twice"
    for check in spec.check:
        if check.slot not in (*spec.slots, "service"):
            yield f"check {check.id} speaks of slot {check.slot!r}, which no stratum has"
        for need in check.needs:
            if need not in ids:
                yield f"check {check.id} needs {need!r}, which is no check"


def _lint_slots(spec: ScenarioSpec) -> Iterator[str]:
    at_stake = {spec.points_of(slot) for slot in spec.slots}
    if len(at_stake) != 1:
        yield f"slots differ in their points: {sorted(at_stake)}"
    drawn = sum(stratum.draw for stratum in spec.stratum)
    total = drawn * max(at_stake) + spec.diagnosis.points + spec.diagnosis.fact_points
    if total != 100:
        yield f"a variant is worth {total:g} points, not 100"


def _lint_forms(scenario: Scenario) -> Iterator[str]:
    spec = scenario.spec
    forms = scenario.forms
    for slot in spec.slots:
        if sum(form.slot == slot for form in forms) < 2:
            yield f"slot {slot} has fewer than two forms"
    for form in forms:
        if form.slot not in spec.slots:
            yield f"form {form.id} is of a slot that no stratum has"
    known = {form.id for form in forms}
    for name in sorted({name for apart in spec.apart for name in apart.forms} - known):
        yield f"[[apart]] names {name}, which is no form"


def _ensure_package(name: str, folder: Path) -> None:
    known = sys.modules.get(name)
    if known is not None and list(known.__path__) == [str(folder)]:
        return
    for loaded in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        del sys.modules[loaded]
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    package = importlib.util.module_from_spec(spec)
    package.__path__ = [str(folder)]
    sys.modules[name] = package
