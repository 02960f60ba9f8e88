"""The wrong repairs of broken_pipeline's data forms: each one reads, applies after its forms, and leaves clean code."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness import proof
from harness import scenario as scenarios
from harness.layout import site_in
from harness.model import DrawnFault, Site, Variant
from harness.workspace import copy_tree, digests

SCENARIO = scenarios.find("broken_pipeline")
WORKSPACE = SCENARIO.folder / "workspace"
SEED = 3
SLOTS = ("units", "nulls", "upserts", "rows_cut", "weather_hour", "validation")
FORMS = {form.id: form for form in SCENARIO.forms}
OURS = {name for name, form in FORMS.items() if form.slot in SLOTS}
EXPECT = {
    path.parent: proof.read_expect(path.parent, SCENARIO)
    for path in sorted((SCENARIO.folder / "shortcuts").glob("*/apply.py"))
}
SHORTCUTS = [folder for folder, expect in EXPECT.items() if set(expect.faults) <= OURS]
CASES = [(folder, fault) for folder in SHORTCUTS for fault in EXPECT[folder].faults]
TABLE_AS_IT_IS = {folder for folder in SHORTCUTS if folder.name.endswith("_forward_only")}
DATA_ALONE = {"backfilled_once"}
"""What makes the table right and leaves the code."""


def variant_of(fault: DrawnFault, values: Any) -> Variant:
    return Variant(scenario="broken_pipeline", seed=SEED, values=values, faults=(fault,))


def loaded(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"apply_{folder.name}", folder / "apply.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def applied(folder: Path, fault_id: str, place: Path) -> tuple[Site, dict[str, str]]:
    """A tree without feeds in which a form was repaired wrongly, and the digests of the form's own tree."""
    values = SCENARIO.story().values(random.Random(f"{SEED}/values"))
    site = site_in(place)
    copy_tree(WORKSPACE, site.workspace)
    fault = FORMS[fault_id].draw(random.Random(fault_id), values)
    FORMS[fault_id].apply(site, fault)
    given = digests(site.workspace)
    loaded(folder).apply(site, variant_of(fault, values), fault)
    return site, given


def names(folder: Path) -> str:
    return folder.name


@pytest.mark.parametrize("folder", SHORTCUTS, ids=names)
def test_a_shortcut_says_what_it_does_and_what_sees_it(folder: Path) -> None:
    expect, slots = EXPECT[folder], {check.id: check.slot for check in SCENARIO.spec.check}
    assert loaded(folder).__doc__
    assert expect.why.endswith(".")
    assert not set(expect.fails) & set(expect.may_fail)
    assert {slots[check] for check in expect.fails} >= {fault.split("/")[0] for fault in expect.faults}


def test_every_form_and_every_check_of_its_slot_has_a_shortcut() -> None:
    failed = {check for folder in SHORTCUTS for check in EXPECT[folder].fails}
    assert {fault for folder in SHORTCUTS for fault in EXPECT[folder].faults} == OURS
    assert {check.id for check in SCENARIO.spec.check if check.slot in SLOTS and check.points} <= failed


@pytest.mark.parametrize(("folder", "fault_id"), CASES, ids=[f"{folder.name}-{fault}" for folder, fault in CASES])
def test_a_shortcut_applies_after_its_form_and_its_code_is_clean(folder: Path, fault_id: str, tmp_path: Path) -> None:
    site, given = applied(folder, fault_id, tmp_path)
    now = digests(site.workspace)
    assert (now == given) == (folder.name in DATA_ALONE)
    assert (now == digests(WORKSPACE)) == (folder in TABLE_AS_IT_IS)
    lint = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "E9,F", "--ignore", "F401"]
    done = subprocess.run([*lint, str(site.workspace)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
