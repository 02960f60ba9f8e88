"""The data forms of broken_pipeline: they apply alone and beside any form of another slot, import, and show."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from fnmatch import fnmatch
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from harness import scenario as scenarios
from harness import variant as variants
from harness.grading import pointable
from harness.layout import site_in
from harness.model import DrawnFault, Form, Site, Variant
from harness.workspace import changes, copy_site, copy_tree, digests

SEED = 1
"""The seed of the healthy site that tests share."""
SEEDS = range(1, 61)
SLOTS = ("units", "nulls", "upserts", "rows_cut", "weather_hour", "validation")

SCENARIO = scenarios.find("broken_pipeline")
WORKSPACE = SCENARIO.folder / "workspace"
FORMS = {form.id: form for form in SCENARIO.forms}
OURS = {name: form for name, form in FORMS.items() if form.slot in SLOTS}
PAIRS = [(one, other) for one, other in combinations(FORMS, 2) if FORMS[one].slot != FORMS[other].slot]
TOGETHER = (
    (
        "units/temp_unconverted",
        "nulls/humid_zero",
        "upserts/redelivery_appends",
        "rows_cut/cap_280",
        "weather_hour/utc_hour",
        "validation/one_stops_all",
    ),
    (
        "units/wind_as_knots",
        "nulls/temp_median",
        "upserts/narrow_key",
        "rows_cut/first_delivery_only",
        "weather_hour/served_shift",
    ),
    ("units/distance_unconverted", "validation/errors_swallowed"),
)
IMPORTING = """
import importlib, sys
for folder in sys.argv[1:]:
    for name in [name for name in sys.modules if name.split(".")[0] == "delays"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    for module in ("config", "deliveries", "contract", "ingest", "features"):
        importlib.import_module(f"delays.{module}")
    assert sys.modules["delays.ingest"].__file__.startswith(folder)
    sys.path.remove(folder)
"""


def values_of(seed: int) -> Any:
    return SCENARIO.story().values(random.Random(f"{seed}/values"))


def fault_of(form: Form, seed: int = SEED) -> DrawnFault:
    return form.draw(random.Random(f"{seed}/{form.slot}"), values_of(seed))


def broken(folder: Path, *names: str) -> Site:
    """The healthy tree with forms in it, without a story."""
    site = site_in(folder)
    copy_tree(WORKSPACE, site.workspace)
    for name in names:
        FORMS[name].apply(site, fault_of(FORMS[name]))
    return site


def sources(workspace: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(workspace.rglob("*")):
        if path.is_file():
            yield path.relative_to(workspace).as_posix(), path.read_text(encoding="utf-8")


# --- drawing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form_id", OURS)
def test_what_is_drawn_speaks_the_words_of_the_scenario(form_id: str) -> None:
    slots = {check.id: check.slot for check in SCENARIO.spec.check}
    words = SCENARIO.spec.diagnosis
    for seed in SEEDS:
        fault, today = fault_of(OURS[form_id], seed), date.fromisoformat(values_of(seed)["business_date"])
        assert fault.id == form_id
        assert all(component in words.components and kind in words.kinds for component, kind in fault.pairs)
        assert fault.onset is not None
        assert timedelta(days=5) <= today - fault.onset <= timedelta(days=18)
        assert all(slots[check] == fault.slot for check in fault.shows_in)
        assert all(slots[check] != fault.slot for check in fault.also_breaks)
        assert fault == fault_of(OURS[form_id], seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_form_that_is_free_to_begins_on_different_days(seed: int) -> None:
    """So that the day says nothing about the form; some nights are too close to a second delivery."""
    drawn = {OURS["weather_hour/utc_hour"].draw(random.Random(f"{seed}/{n}"), values_of(seed)).onset for n in range(30)}
    assert 1 <= len(drawn) <= 10


def test_over_all_seeds_onsets_spread_over_ten_days() -> None:
    before = {
        (date.fromisoformat(values_of(seed)["business_date"]) - onset).days
        for seed in SEEDS
        if (onset := fault_of(OURS["weather_hour/utc_hour"], seed).onset) is not None
    }
    assert len(before) >= 6


# --- applying ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form_id", OURS)
def test_a_form_changes_the_code_and_nothing_else(form_id: str, tmp_path: Path) -> None:
    site = broken(tmp_path, form_id)
    changed = [change.path for change in changes(digests(WORKSPACE), digests(site.workspace))]
    assert changed
    assert all(fnmatch(path, "delays/*.py") for path in changed)
    assert not site.story


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_forms_of_different_slots_apply_in_either_order(pair: tuple[str, str], tmp_path: Path) -> None:
    one, other = (broken(tmp_path / order, *names).workspace for order, names in (("a", pair), ("b", pair[::-1])))
    assert dict(sources(one)) == dict(sources(other))
    for name, text in sources(one):
        if name.endswith(".py"):
            compile(text, name, "exec")


def test_broken_trees_are_clean_and_import(tmp_path: Path) -> None:
    folders = [broken(tmp_path / name.replace("/", "-"), name).workspace for name in OURS]
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
    done = subprocess.run([*lint, *map(str, folders)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    command = [sys.executable, "-B", "-c", IMPORTING, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form_id", OURS)
def test_the_workspace_names_neither_form_nor_kind(form_id: str, tmp_path: Path) -> None:
    form = OURS[form_id]
    said = {form.name, form.slot, *(kind for _, kind in fault_of(form).pairs)}
    words = {word for word in said if "_" in word} | {word.replace("_", " ") for word in said if "_" in word}
    for name, text in sources(broken(tmp_path, form_id).workspace):
        found = [word for word in words if re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE)]
        assert not found, (name, found)


# --- days -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED, 8])
def test_days_of_the_story_are_known_from_its_values(seed: int) -> None:
    common, values = SCENARIO.module("faults").common, values_of(seed)
    today = date.fromisoformat(values["business_date"])
    world = SCENARIO.module("world").read(values)
    first, last = today - timedelta(days=24), today - timedelta(days=1)
    made = list(SCENARIO.module("deliveries").deliveries(world, values, first, last))
    second = {(each.source, each.day): each for each in made if each.number == 2}
    told = {(each.source, each.day): each for each in common.second_deliveries(values)}
    assert {key: each.night for key, each in second.items()} == {key: each.night for key, each in told.items()}
    for key, each in told.items():
        one = next(each for each in made if (each.source, each.day) == key and each.number == 1)
        numbers = [
            set(zip(flown["carrier"], flown["flight"], strict=True))
            for flown in (one.flights, second[key].flights)
            if flown is not None
        ]
        refused = one.lost_rows or (str(one.day) in values["bad"]["days"] and one.source == values["bad"]["source"])
        assert each.late_rows == (not refused and len(numbers) == 2 and bool(numbers[1] - numbers[0]))
        assert each.replaces == (not refused)
    sky = world.weather.set_index(["origin", "date"]).sort_index()
    for source, day in common.gaps(values):
        assert sky.loc[(source, str(day)), ["temp_f", "humid_pct"]].isna().all(axis=1).any()


# --- on a laid-out story ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1200)  # lives through 18 nights
@pytest.mark.parametrize("together", TOGETHER[:1], ids=["first"])  # the proof's symptoms show every form
def test_faults_show_beside_each_other_and_their_pointers_are_there(
    together: tuple[str, ...], broken_healthy: Site, broken_variant: Variant, tmp_path: Path
) -> None:
    faults = [fault_of(OURS[name]) for name in together]
    site = site_in(tmp_path)
    copy_site(broken_healthy, site)
    variants.break_site(SCENARIO, variants.with_faults(broken_variant, faults), site)
    known = pointable(site)
    for fault in faults:
        symptom = OURS[fault.id].visible(site, broken_healthy, fault)
        assert symptom.measured > symptom.clean_p99, (fault.id, symptom)
        for pattern in fault.pointers:
            assert any(fnmatch(name, pattern) for name in known), (fault.id, pattern)
    shutil.rmtree(tmp_path)


def test_the_stories_that_are_lived_through_hold_every_form() -> None:
    assert sorted(name for together in TOGETHER for name in together) == sorted(OURS)
