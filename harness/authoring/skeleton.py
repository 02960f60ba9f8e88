"""A new scenario: a copy of template/, the smallest whole scenario, under a name of its own.

The tests run on such a copy, so that what an author is given is sound.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from harness import scenario as scenarios
from harness.authoring.schema import PUBLISHED, schema_line, schema_text
from harness.errors import EnvironmentFault, UsageError

TEMPLATE = Path(__file__).with_name("template")


def new(name: str, into: Path | None = None) -> Path:
    """Make the folder `name` below `into` (the public scenarios unless given); returns it.

    A folder of scenarios elsewhere gets the schema too, so that its scenario.toml files can name it. Raises UsageError
    for a bad name or one that is taken, EnvironmentFault where nothing can be written; then nothing is left.
    """
    root = (into or scenarios.SCENARIOS).absolute()
    target = root / name
    _refuse_bad_name(name)
    _refuse_taken(name, target)
    try:
        root.mkdir(parents=True, exist_ok=True)
        shutil.copytree(TEMPLATE, target, ignore=shutil.ignore_patterns("__pycache__"))
        _rename(target, name, _schema_beside(root))
    except OSError as exc:
        shutil.rmtree(target, ignore_errors=True)
        raise EnvironmentFault(
            f"{root} cannot be written: {exc.strerror or exc}.", "Name a folder of yours with --into FOLDER."
        ) from exc
    return target


def _refuse_bad_name(name: str) -> None:
    if re.fullmatch(scenarios.ID, name) is None or name == "base":  # scenario_base is what scenarios share
        raise UsageError(
            f"{name!r} is not a valid name for a scenario.",
            "Begin with a small letter and use small letters, digits and _, as in late_feeds.",
        )


def _refuse_taken(name: str, target: Path) -> None:
    for folder in (target, scenarios.SCENARIOS / name):
        if folder.exists() or folder.is_symlink():
            raise UsageError(f"The name {name!r} is taken: {folder} is there already.", "Take another name.")


def _schema_beside(root: Path) -> Path:
    """The schema that scenarios below a folder name: the committed one, or a copy in that folder."""
    if root == scenarios.SCENARIOS and PUBLISHED.is_file():
        return PUBLISHED
    copy = root / PUBLISHED.name
    copy.write_text(schema_text(), encoding="utf-8")
    return copy


def _rename(folder: Path, name: str, schema: Path) -> None:
    path = folder / "scenario.toml"
    _, _, rest = path.read_text(encoding="utf-8").partition("\n")
    rest = rest.replace(f'id = "{TEMPLATE.name}"', f'id = "{name}"', 1)
    rest = rest.replace('title = "Template"', f'title = "{name.replace("_", " ").capitalize()}"', 1)
    path.write_text(f"{schema_line(folder, schema)}\n{rest}", encoding="utf-8")
