"""What an attempt's proctor is given when it is laid out, in a folder that nobody else has.

sealed.json          attempt, scenario, seed, and where the services are
given/               the workspace as the candidate got it
healthy/workspace/   the fixed parts, from which a submission is graded
healthy/registry/    an empty registry: the schema that a submitted one is imported into
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentFault
from harness.layout import Layouts
from harness.model import Record, Site, Variant
from harness.registry_import import empty
from harness.scenario import Scenario
from harness.workspace import copy_database, copy_tree


class Sealed(Record):
    """An attempt before it begins. `urls` are the services' base addresses in the attempt's network, by name; `public`
    says whether the scenario is the project's own, which cannot be seen where the proctor has it."""

    attempt: str
    scenario: str
    seed: int
    urls: Mapping[str, str]
    public: bool = False
    laid_out_seconds: float = 0


@dataclass(frozen=True)
class SealedFolder:
    """The places of a sealed folder."""

    folder: Path

    @property
    def given(self) -> Path:
        """The workspace as it was given."""
        return self.folder / "given"

    @property
    def healthy(self) -> Site:
        """A site with the fixed parts and the schema alone; it has nothing private."""
        healthy = self.folder / "healthy"
        return Site(healthy / "workspace", healthy / "registry", healthy / "private")

    def read(self) -> Sealed:
        """What was sealed. Raises EnvironmentFault when the folder was not laid out."""
        try:
            return Sealed.model_validate_json((self.folder / "sealed.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise EnvironmentFault(f"{self.folder} was not laid out.", "Look at the log of `layout`.") from exc


def seal(sealed: Sealed, scenario: Scenario, variant: Variant, layouts: Layouts, folder: Path) -> None:
    """Fill a sealed folder from the laid-out sites of the variant; sealed.json comes last."""
    healthy, broken = layouts.healthy(scenario, variant), layouts.broken(scenario, variant)
    place = SealedFolder(folder)
    copy_tree(broken.workspace, place.given)
    place.healthy.registry.mkdir(parents=True, exist_ok=True)
    copy_database(healthy.registry / "mlflow.db", place.healthy.registry / "mlflow.db")
    empty(place.healthy.registry / "mlflow.db")
    for name in scenario.spec.fixed:
        target = place.healthy.workspace / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (healthy.workspace / name).is_dir():
            copy_tree(healthy.workspace / name, target)
        else:
            shutil.copy2(healthy.workspace / name, target)
    (folder / "sealed.json").write_text(sealed.model_dump_json(indent=1), encoding="utf-8")
