"""Trees of broken_pipeline with forms in them, without a story: how they are made, imported and landed with.

Many trees are imported or landed with by one process, for starting one costs more than all that is looked at.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from harness import scenario as scenarios
from harness.layout import site_in
from harness.model import DrawnFault, Site
from harness.workspace import copy_tree

SEED = 1
"""The seed of the story that forms are drawn for, unless a test says another."""

SCENARIO = scenarios.find("broken_pipeline")
WORKSPACE = SCENARIO.folder / "workspace"
FORMS = {form.id: form for form in SCENARIO.forms}
SLOT_OF = {check.id: check.slot for check in SCENARIO.spec.check}
DATA_SLOTS = ("units", "nulls", "upserts", "rows_cut", "weather_hour", "validation")
"""Slots of what is landed; those of the others are about what is learnt, judged, served and corrected."""

MODULES = (
    "config", "deliveries", "contract", "ingest", "features", "training", "gate", "registry", "answers", "nightly",
    "monitor",
)  # fmt: skip
"""The package's modules without the service, which takes a server to import."""

PROCESS_S = 300.0
"""Deadline of a process that goes through all trees; on a quiet machine it takes some seconds."""

IN_TURN = """
import importlib, json, sys
from contextlib import contextmanager
from datetime import date
from pathlib import Path

@contextmanager
def package(folder):
    for name in [name for name in sys.modules if name.split(".")[0] == "delays"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    yield lambda name: importlib.import_module(f"delays.{name}")
    loaded = [module for name, module in sys.modules.items() if name.startswith("delays.")]
    assert loaded and all(module.__file__.startswith(f"{folder}/") for module in loaded)
    sys.path.remove(folder)

todo = json.loads(sys.stdin.read())
"""
IMPORTING = """
for folder, modules in todo:
    with package(folder) as module:
        for name in modules:
            module(name)
"""
LANDING = """
for code, workspace, day in todo:
    with package(code) as module:
        module("ingest").land(module("config").load(Path(workspace)), date.fromisoformat(day))
"""


@cache
def values_of(seed: int) -> Mapping[str, Any]:
    """What a seed draws for the story: read it, change nothing."""
    found: Mapping[str, Any] = SCENARIO.story().values(random.Random(f"{seed}/values"))
    return found


def draw(form_id: str, seed: int = SEED) -> DrawnFault:
    """A form as a seed draws it."""
    form = FORMS[form_id]
    return form.draw(random.Random(f"{seed}/{form.slot}"), values_of(seed))


def broken(folder: Path, *form_ids: str, seed: int = SEED) -> Site:
    """The healthy tree with forms in it, applied in this order, without a story."""
    site = site_in(folder)
    copy_tree(WORKSPACE, site.workspace)
    for form_id in form_ids:
        FORMS[form_id].apply(site, draw(form_id, seed))
    return site


def texts(workspace: Path) -> dict[str, str]:
    """Path below a workspace -> text, of every file."""
    files = sorted(path for path in workspace.rglob("*") if path.is_file())
    return {path.relative_to(workspace).as_posix(): path.read_text(encoding="utf-8") for path in files}


def plain(name: str) -> str:
    """A form's or a case's name as the name of a folder."""
    return name.replace("/", "-")


@dataclass(frozen=True)
class Landing:
    """The landing of a workspace's deliveries on the night of a day, by the code of this workspace or another."""

    code: Path
    workspace: Path
    day: date


def assert_import(workspaces: Iterable[Path]) -> None:
    """The package of each workspace imports."""
    _in_turn(IMPORTING, [(str(workspace), MODULES) for workspace in workspaces])


def assert_land(landings: Iterable[Landing]) -> None:
    """Each landing ends well; it is done as `landing.anew` does it."""
    _in_turn(LANDING, [(str(each.code), str(each.workspace), str(each.day)) for each in landings])


def _in_turn(script: str, todo: list[tuple[Any, ...]]) -> None:
    """A traceback names the tree by its folder. No bytecode is written, for the trees are looked at afterwards."""
    assert todo
    command = [sys.executable, "-B", "-P", "-W", "ignore", "-c", IN_TURN + script]
    done = subprocess.run(
        command, input=json.dumps(todo), capture_output=True, text=True, check=False, timeout=PROCESS_S
    )
    assert done.returncode == 0, done.stderr
