"""The forms of broken_pipeline: they apply alone and beside any form of another slot, import, and show."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from fnmatch import fnmatch
from functools import cache

import pytest
from broken_trees import (
    FORMS,
    SCENARIO,
    SEED,
    SLOT_OF,
    WORKSPACE,
    assert_import,
    broken,
    draw,
    plain,
    texts,
    values_of,
)
from trees import assert_clean

from harness.grading import pointable
from harness.layout import Layouts
from harness.model import Site, Variant
from harness.proof.seeds import healthy_beside
from harness.workspace import changes, digests

SEEDS = range(1, 61)
DRAWS = 10
"""Of one form in one story."""
ONSETS = {"units": (14, 18), "upserts": (5, 17)}
"""Days before the business date between which a form begins, where the story leaves it no choice but these."""
USUAL_ONSET = (6, 17)
WITH_SETTINGS = {"gate/counts_right", "gate/wrong_direction"}
"""What a gate goes by stands in config.toml."""


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Site]:
    """For each form the healthy tree with it; they are read only."""
    folder = tmp_path_factory.mktemp("trees")
    return {form_id: broken(folder / plain(form_id), form_id) for form_id in FORMS}


# --- drawing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form_id", FORMS)
def test_what_is_drawn_speaks_the_words_of_the_scenario(form_id: str) -> None:
    words, slot = SCENARIO.spec.diagnosis, FORMS[form_id].slot
    least, most = ONSETS.get(slot, USUAL_ONSET)
    for seed in SEEDS:
        fault, today = draw(form_id, seed), date.fromisoformat(values_of(seed)["business_date"])
        assert fault.id == form_id
        assert all(component in words.components and kind in words.kinds for component, kind in fault.pairs)
        assert fault.onset is not None
        assert timedelta(days=least) <= today - fault.onset <= timedelta(days=most)
        assert all(SLOT_OF[check] == slot for check in fault.shows_in)
        assert all(SLOT_OF[check] != slot for check in fault.also_breaks)
        assert fault == draw(form_id, seed)


def test_a_form_that_is_free_to_begins_on_different_days() -> None:
    """So that the day says nothing about the form; in a few stories all nights but one are close to a delivery."""
    free = FORMS["weather_hour/utc_hour"]
    days = {
        seed: {free.draw(random.Random(f"{seed}/{n}"), values_of(seed)).onset for n in range(DRAWS)} for seed in SEEDS
    }
    assert all(len(found) <= 10 for found in days.values())
    assert sum(len(found) > 1 for found in days.values()) >= 0.8 * len(SEEDS)


def test_over_all_seeds_onsets_spread_over_ten_days() -> None:
    before = {
        (date.fromisoformat(values_of(seed)["business_date"]) - onset).days
        for seed in SEEDS
        if (onset := draw("weather_hour/utc_hour", seed).onset) is not None
    }
    assert len(before) >= 6


# --- applying ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form_id", FORMS)
def test_a_form_changes_code_and_leaves_nothing_healthy_beside_it(form_id: str, trees: Mapping[str, Site]) -> None:
    site = trees[form_id]
    changed = {change.path for change in changes(digests(WORKSPACE), digests(site.workspace))}
    code = {path for path in changed if fnmatch(path, "delays/*.py")}
    assert code
    assert changed - code == ({"config.toml"} if form_id in WITH_SETTINGS else set())
    assert not site.story
    assert not list(healthy_beside(WORKSPACE, site.workspace))


@contextmanager
def with_form(site: Site, form_id: str) -> Iterator[None]:
    """The site with a form more, as long as the block lasts: writing back what differs is cheaper than a copy."""
    before = texts(site.workspace)
    FORMS[form_id].apply(site, draw(form_id))
    yield
    now = texts(site.workspace)
    for path in now.keys() - before.keys():
        (site.workspace / path).unlink()
    for path, text in before.items():
        if now.get(path) != text:
            (site.workspace / path).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], dict[str, str]]:
    """The texts of the tree with two forms in it, the first one applied first."""
    folder = tmp_path_factory.mktemp("pairs")

    @cache
    def alone(form_id: str) -> Site:
        return broken(folder / plain(form_id), form_id)

    @cache
    def both(one: str, other: str) -> dict[str, str]:
        with with_form(alone(one), other):
            return texts(alone(one).workspace)

    return both


@cache
def compiles(name: str, text: str) -> bool:
    """Raises SyntaxError where it does not. Kept, for most files of a pair are as one of its forms alone makes them."""
    return compile(text, name, "exec") is not None


@pytest.mark.parametrize("one", FORMS)
def test_a_form_and_any_of_another_slot_apply_in_either_order(
    one: str, pairs: Callable[[str, str], dict[str, str]]
) -> None:
    for other in (form.id for form in FORMS.values() if form.slot != FORMS[one].slot):
        found = pairs(one, other)
        assert found == pairs(other, one), other
        assert all(compiles(name, text) for name, text in found.items() if name.endswith(".py")), other


@pytest.mark.slow
def test_broken_trees_are_clean_and_import(trees: Mapping[str, Site]) -> None:
    workspaces = [site.workspace for site in trees.values()]
    assert_clean(workspaces, "--select", "E,F", "--line-length", "120")
    assert_import(workspaces)


@pytest.mark.parametrize("form_id", FORMS)
def test_the_workspace_names_neither_form_nor_kind(form_id: str, trees: Mapping[str, Site]) -> None:
    form = FORMS[form_id]
    said = {form.name, *(kind for _, kind in draw(form_id).pairs)}
    said |= {form.slot} if "_" in form.slot else set()  # "gate" and the like are words of the brief
    either = "|".join(re.escape(word) for name in said for word in (name, name.replace("_", " ")))
    named = re.compile(rf"\b(?:{either})\b", re.IGNORECASE)
    for name, text in texts(trees[form_id].workspace).items():
        found = named.search(text)
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
def test_faults_of_a_variant_show_beside_each_other_and_their_pointers_are_there(
    broken_healthy: Site, broken_variant: Variant, layouts: Layouts
) -> None:
    """Of one variant; a proof shows those of its seeds, in which every form is drawn."""
    site = layouts.broken(SCENARIO, broken_variant)
    known = pointable(site)
    for fault in broken_variant.faults:
        symptom = FORMS[fault.id].visible(site, broken_healthy, fault)
        assert symptom.measured > symptom.clean_p99, (fault.id, symptom)
        for pattern in fault.pointers:
            assert any(fnmatch(name, pattern) for name in known), (fault.id, pattern)
