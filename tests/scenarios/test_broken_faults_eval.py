"""The forms of broken_pipeline in training, gate, monitor and serving: they apply alone, import, and show."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from harness import scenario as scenarios
from harness import variant as variants
from harness.grading import pointable
from harness.layout import site_in
from harness.model import DrawnFault, Form, Site, Variant
from harness.proof.seeds import healthy_beside
from harness.workspace import changes, copy_site, copy_tree, digests

SEEDS = range(1, 61)
SLOTS = ("leak", "split", "gate", "monitor", "versioning", "reproducible", "serving", "corrections")

SCENARIO = scenarios.find("broken_pipeline")
WORKSPACE = SCENARIO.folder / "workspace"
FORMS = {form.id: form for form in SCENARIO.forms if form.slot in SLOTS}
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
TOGETHER = (
    ("leak/late_start", "split/random_split", "monitor/reference_is_current", "versioning/overwritten_file"),
    ("leak/same_day_rate", "gate/wrong_direction", "monitor/fills_first", "serving/codes_refitted"),
    ("split/holdout_in_training", "gate/counts_right", "reproducible/unseeded_sample"),
    ("gate/against_itself", "serving/own_filling"),
    ("versioning/lineage_missing", "corrections/written_over"),
    ("reproducible/digest_by_time", "corrections/whole_source"),
)
"""Every form once, beside others that a variant may have with it or not: each must show all the same."""


def values_of(seed: int) -> Any:
    return SCENARIO.story().values(random.Random(f"{seed}/values"))


def fault_of(form: Form, values: Any, seed: int = 1) -> DrawnFault:
    return form.draw(random.Random(f"{seed}/{form.slot}"), values)


def broken(folder: Path, name: str) -> Site:
    """The healthy tree with a form in it, without a story."""
    site = site_in(folder)
    copy_tree(WORKSPACE, site.workspace)
    FORMS[name].apply(site, fault_of(FORMS[name], values_of(1)))
    return site


def sources(workspace: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(workspace.rglob("*")):
        if path.is_file():
            yield path.relative_to(workspace).as_posix(), path.read_text(encoding="utf-8")


@pytest.mark.parametrize("form_id", FORMS)
def test_what_is_drawn_speaks_the_words_of_the_scenario(form_id: str) -> None:
    slots = {check.id: check.slot for check in SCENARIO.spec.check}
    words = SCENARIO.spec.diagnosis
    for seed in SEEDS:
        values = values_of(seed)
        fault, today = fault_of(FORMS[form_id], values, seed), date.fromisoformat(values["business_date"])
        assert fault.id == form_id
        assert all(component in words.components and kind in words.kinds for component, kind in fault.pairs)
        assert fault.onset is not None
        assert timedelta(days=6) <= today - fault.onset <= timedelta(days=17)
        assert all(slots[check] == fault.slot for check in fault.shows_in)
        assert all(slots[check] != fault.slot for check in fault.also_breaks)
        assert fault == fault_of(FORMS[form_id], values, seed)


@pytest.mark.parametrize("form_id", FORMS)
def test_a_form_changes_code_and_settings_and_leaves_nothing_healthy_beside_them(form_id: str, tmp_path: Path) -> None:
    site = broken(tmp_path, form_id)
    changed = [change.path for change in changes(digests(WORKSPACE), digests(site.workspace))]
    assert changed
    assert all(fnmatch(path, "delays/*.py") or path == "config.toml" for path in changed)
    assert not site.story
    assert not list(healthy_beside(WORKSPACE, site.workspace))


def test_broken_trees_are_clean_and_import(tmp_path: Path) -> None:
    folders = [str(broken(tmp_path / name.replace("/", "-"), name).workspace) for name in FORMS]
    lint = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--no-cache",
        "--select",
        "E,F",
        "--line-length",
        "120",
    ]
    done = subprocess.run([*lint, *folders], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    command = [sys.executable, "-B", "-c", IMPORTING, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form_id", FORMS)
def test_the_workspace_names_neither_form_nor_kind(form_id: str, tmp_path: Path) -> None:
    fault = fault_of(FORMS[form_id], values_of(1))
    words = {
        word for name in (fault.form, *(kind for _, kind in fault.pairs)) for word in (name, name.replace("_", " "))
    }
    for name, text in sources(broken(tmp_path, form_id).workspace):
        found = [word for word in words if re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE)]
        assert not found, (name, found)


def test_every_form_is_laid_out_once() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(FORMS)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # lives through 18 nights
@pytest.mark.parametrize("names", TOGETHER[:1], ids=" ".join)  # the proof's symptoms show every form
def test_faults_show_beside_others_and_their_pointers_are_there(
    names: tuple[str, ...], broken_healthy: Site, broken_variant: Variant, tmp_path: Path
) -> None:
    faults = [fault_of(FORMS[name], broken_variant.values) for name in names]
    site = site_in(tmp_path)
    copy_site(broken_healthy, site)
    variants.break_site(SCENARIO, variants.with_faults(broken_variant, faults), site)
    known = pointable(site)
    for fault in faults:
        symptom = FORMS[fault.id].visible(site, broken_healthy, fault)
        assert symptom.measured > symptom.clean_p99, (fault.id, symptom)
        for pattern in fault.pointers:
            assert any(fnmatch(name, pattern) for name in known), (fault.id, pattern)
    shutil.rmtree(tmp_path)
