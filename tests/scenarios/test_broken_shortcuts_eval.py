"""Wrong repairs of what is learnt, judged, promoted, served and corrected: each applies after its form and imports."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness import proof
from harness import scenario as scenarios
from harness.layout import site_in
from harness.model import Site, Variant
from harness.workspace import copy_tree, digests

SCENARIO = scenarios.find("broken_pipeline")
SLOTS = ("leak", "split", "gate", "monitor", "versioning", "reproducible", "serving", "corrections")
FORMS = {form.id: form for form in SCENARIO.forms if form.slot in SLOTS}
WITH_REGISTRY = {"digests_by_hand", "delay_called_rain"}
IMPORTING = """
import importlib, sys
for folder in sys.argv[1:]:
    for name in [name for name in sys.modules if name.split(".")[0] == "delays"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    for module in ("nightly", "training", "gate", "answers", "monitor", "registry"):
        importlib.import_module(f"delays.{module}")
    assert sys.modules["delays.training"].__file__.startswith(folder)
    sys.path.remove(folder)
"""


def of_these_slots(folder: Path) -> list[str]:
    faults = tomllib.loads((folder / "expect.toml").read_text(encoding="utf-8"))["faults"]
    return [fault for fault in faults if fault in FORMS]


FOLDERS = [path.parent for path in sorted((SCENARIO.folder / "shortcuts").glob("*/apply.py"))]
CASES = [(folder, fault) for folder in FOLDERS for fault in of_these_slots(folder)]
PLAIN = [case for case in CASES if case[0].name not in WITH_REGISTRY]


def loaded(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"apply_{folder.name}", folder / "apply.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def variant_of(values: Any) -> Variant:
    return Variant(scenario="broken_pipeline", seed=1, values=values, faults=())


def repaired(place: Path, folder: Path, fault_id: str) -> Site:
    """The healthy tree with a form and a wrong repair of it, without a story."""
    values = SCENARIO.story().values(random.Random("1/values"))
    fault = FORMS[fault_id].draw(random.Random(f"1/{fault_id}"), values)
    site = site_in(place)
    copy_tree(SCENARIO.folder / "workspace", site.workspace)
    FORMS[fault_id].apply(site, fault)
    broken = digests(site.workspace)
    loaded(folder).apply(site, variant_of(values), fault)
    assert digests(site.workspace) != broken or folder.name in WITH_REGISTRY
    return site


def test_every_form_has_a_wrong_repair() -> None:
    assert {fault for _, fault in CASES} == set(FORMS)


@pytest.mark.parametrize("folder", sorted({folder for folder, _ in CASES}), ids=lambda folder: folder.name)
def test_expectations_name_known_faults_and_checks_and_say_why(folder: Path) -> None:
    expect = proof.read_expect(folder, SCENARIO)
    assert set(expect.faults) <= set(FORMS)
    assert expect.fails
    assert expect.why.endswith(".")
    assert loaded(folder).__doc__


def test_wrong_repairs_are_clean_and_import(tmp_path: Path) -> None:
    folders = [str(repaired(tmp_path / str(n), *case).workspace) for n, case in enumerate(PLAIN)]
    lint = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "E9,F821,F823"]
    done = subprocess.run([*lint, *folders], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    command = [sys.executable, "-B", "-c", IMPORTING, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    for folder in folders:
        tomllib.loads((Path(folder) / "config.toml").read_text(encoding="utf-8"))
