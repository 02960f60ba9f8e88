"""The fault forms of stale_predictions on one laid-out story: they apply, show, and leave nothing healthy behind."""

from __future__ import annotations

import random
from fnmatch import fnmatch
from pathlib import Path

import pytest
from trees import assert_clean

from harness import proof
from harness import scenario as scenarios
from harness import variant as variants
from harness.grading import pointable
from harness.layout import Layouts, site_in
from harness.model import DrawnFault, Form, Site
from harness.proof import covering_seeds
from harness.scenario import Scenario
from harness.workspace import copy_site

Five = tuple[list[DrawnFault], Site]

SEED = 1
SEEDS = range(1, 201)
CAUSES = ("wrong way round", "hard-coded", "unpadded", "as text", "pinned in", "config.toml names", "cache key")

SCENARIO = scenarios.find("stale_predictions")
FORMS = {form.id: form for form in SCENARIO.forms}


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    return SCENARIO


@pytest.fixture(scope="session")
def healthy(scenario: Scenario, layouts: Layouts) -> Site:
    return layouts.healthy(scenario, variants.draw(scenario, SEED))


def broken_site(scenario: Scenario, healthy: Site, folder: Path, faults: list[DrawnFault]) -> Site:
    site = site_in(folder)
    copy_site(healthy, site)
    variant = variants.draw(scenario, SEED)
    variants.break_site(scenario, variants.with_faults(variant, faults), site)
    return site


def in_this_story(scenario: Scenario, other: int) -> list[DrawnFault]:
    """The forms that another seed draws, with values for the laid-out story."""
    values = variants.draw(scenario, SEED).values
    rng = random.Random(f"{other}/here")
    return [FORMS[fault.id].draw(rng, values) for fault in variants.draw(scenario, other).faults]


def compiles(workspace: Path) -> None:
    assert_clean([workspace], "--select", "E9,F")
    for path in workspace.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


# --- drawing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_variant_has_five_faults_of_five_slots(scenario: Scenario, seed: int) -> None:
    variant = variants.draw(scenario, seed)
    assert len({fault.slot for fault in variant.faults}) == len(variant.faults) == 5
    checks = {check.id: check.slot for check in scenario.spec.check}
    words, kinds = scenario.spec.diagnosis.components, scenario.spec.diagnosis.kinds
    for fault in variant.faults:
        assert fault.shows_in
        assert all(checks[name] == fault.slot for name in fault.shows_in)
        assert all(checks[name] != fault.slot for name in fault.also_breaks)
        assert fault.pairs
        assert all(component in words and kind in kinds for component, kind in fault.pairs)
        assert fault.onset is not None
        assert fault.onset < variant.business_date


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_draws_the_same(scenario: Scenario, seed: int) -> None:
    assert variants.draw(scenario, seed) == variants.draw(scenario, seed)


def test_a_few_seeds_cover_every_form(scenario: Scenario) -> None:
    drawn = {fault.id for seed in covering_seeds(scenario) for fault in variants.draw(scenario, seed).faults}
    assert drawn == set(FORMS)


def test_no_two_faults_of_a_variant_have_one_diagnosis(scenario: Scenario) -> None:
    for seed in SEEDS:
        pairs = [fault.pairs[0] for fault in variants.draw(scenario, seed).faults]
        assert len(pairs) == len(set(pairs)), seed


def test_the_brief_names_no_cause(scenario: Scenario) -> None:
    brief = scenario.brief.lower()
    assert not [cause for cause in CAUSES if cause in brief]
    assert not [form.name for form in scenario.forms if form.name in brief]


def test_forms_have_the_parts_that_the_lifecycle_asks_for() -> None:
    live = {form.id for form in FORMS.values() if form.live is not None}
    assert live == {"model_loading/resolved_once", "model_loading/partial_reload"}


# --- one fault on a laid-out story ------------------------------------------------------------------------------------


def fault_of(scenario: Scenario, form: Form) -> DrawnFault:
    return form.draw(random.Random(f"{form.id}/test"), variants.draw(scenario, SEED).values)


@pytest.mark.slow
@pytest.mark.parametrize("form_id", FORMS)
def test_one_fault_applies_and_shows(scenario: Scenario, healthy: Site, tmp_path: Path, form_id: str) -> None:
    form = FORMS[form_id]
    fault = fault_of(scenario, form)
    site = broken_site(scenario, healthy, tmp_path, [fault])
    compiles(site.workspace)
    symptom = form.visible(site, healthy, fault)
    assert symptom.measured > symptom.clean_p99, symptom
    known = pointable(site)
    for pattern in fault.pointers:
        assert any(fnmatch(name, pattern) for name in known), pattern
    assert not list(site.workspace.rglob("*.orig")) + list(site.workspace.rglob("*.pyc"))


# --- five faults on a laid-out story ----------------------------------------------------------------------------------


@pytest.fixture(params=range(1, 13))
def five(request: pytest.FixtureRequest, scenario: Scenario, healthy: Site, tmp_path: Path) -> Five:
    faults = in_this_story(scenario, request.param)
    return faults, broken_site(scenario, healthy, tmp_path, faults)


@pytest.mark.slow
def test_five_faults_show_beside_each_other(scenario: Scenario, healthy: Site, five: Five) -> None:
    faults, site = five
    compiles(site.workspace)
    for fault in faults:
        symptom = FORMS[fault.id].visible(site, healthy, fault)
        assert symptom.measured > symptom.clean_p99, (fault.id, symptom)
    facts = scenario.story().facts(variants.draw(scenario, SEED), site)
    assert facts["answers_7d"] > 900
    assert 0 < facts["mean_risk_7d"] < 1
    assert 0 < facts["late_share_7d"] < 1


@pytest.mark.slow
def test_two_hundred_seeds_are_as_they_must_be(scenario: Scenario) -> None:
    """`exam prove stale_predictions --seeds 200`: they apply, differ, come again, and give nothing away."""
    cells = list(proof.prove_seeds(scenario, len(SEEDS)))
    told = proof.summary(scenario, cells)
    assert [(cell.seed, cell.problems) for cell in cells if cell.problems] == []
    assert told.problems == ()
    assert min(told.drawn.values()) > 0
