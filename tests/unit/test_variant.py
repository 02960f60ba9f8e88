"""A seed draws the same variant every time, and exactly what the strata say."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from harness import scenario as scenarios
from harness import variant as variants
from harness.errors import ScenarioError
from harness.layout import Layouts, site_in
from harness.model import Site
from harness.scenario import Scenario
from harness.workspace import digests


@pytest.mark.parametrize("seed", range(1, 40))
def test_a_seed_draws_the_same_five_faults_from_five_slots(seed: int) -> None:
    scenario = scenarios.find("stale_predictions")
    variant = variants.draw(scenario, seed)
    assert variant == variants.draw(scenario, seed)
    assert len({fault.slot for fault in variant.faults}) == len(variant.faults) == 5
    for stratum in scenario.spec.stratum:
        assert sum(fault.slot in stratum.slots for fault in variant.faults) == stratum.draw


def test_seeds_draw_every_form() -> None:
    scenario = scenarios.find("stale_predictions")
    drawn = {fault.id for seed in range(1, 200) for fault in variants.draw(scenario, seed).faults}
    assert drawn == {form.id for form in scenario.forms}


def test_forms_that_would_hide_one_another_are_never_drawn_together() -> None:
    scenario = scenarios.find("stale_predictions")
    for seed in range(1, 200):
        drawn = {fault.id for fault in variants.draw(scenario, seed).faults}
        assert not any(drawn & scenario.spec.kept_apart(form) for form in drawn), seed


def test_the_same_variant_is_laid_out_byte_for_byte(tiny: Scenario, tmp_path: Path) -> None:
    variant = variants.draw(tiny, 3)
    first = Layouts(tmp_path / "one").broken(tiny, variant)
    second = Layouts(tmp_path / "two").broken(tiny, variant)
    assert digests(first.workspace) == digests(second.workspace)


def test_a_broken_site_differs_from_the_healthy_one_where_the_fault_is(tiny: Scenario, tmp_path: Path) -> None:
    layouts = Layouts(tmp_path)
    variant = variants.draw(tiny, 3)
    healthy, broken = (
        digests(layouts.healthy(tiny, variant).workspace),
        digests(layouts.broken(tiny, variant).workspace),
    )
    assert {path for path in healthy if healthy[path] != broken[path]} == {"word.txt", "trace.txt"}


def test_faults_tell_the_story_when_all_of_them_are_applied(tiny: Scenario, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    faults = folder / "faults.py"
    text = faults.read_text(encoding="utf-8")
    applies = 'site.replace("word.txt", "healthy", word + "!" * fault.values["marks"])'
    text = text.replace(applies, '(site.workspace / f"{word}.said").touch()')
    seen = 'sorted(path.stem for path in site.workspace.glob("*.said"))'
    text = text.replace('site.story["word"] = word', f'site.story.setdefault("seen", []).append({seen})')
    faults.write_text(text, encoding="utf-8")
    scenario = scenarios.load(folder)
    variant = variants.draw(scenario, 1)
    both = [form.draw(random.Random(1), variant.values) for form in scenario.forms]
    site = site_in(tmp_path / "site")
    variants.break_site(scenario, variants.with_faults(variant, both), site)
    assert site.story["seen"] == [["sick", "tired"]] * 2


def test_an_interrupted_layout_leaves_nothing(tiny: Scenario, tmp_path: Path) -> None:
    variant = variants.draw(tiny, 3)
    bad = variant.model_copy(update={"faults": (variant.faults[0].model_copy(update={"form": "nonesuch"}),)})
    layouts = Layouts(tmp_path)
    with pytest.raises(ScenarioError, match="nonesuch"):
        layouts.broken(tiny, bad)
    assert not list(tmp_path.glob("*/broken-*"))


def test_a_fault_that_no_longer_applies_is_an_error(tmp_path: Path) -> None:
    site = Site(workspace=tmp_path, registry=tmp_path, private=tmp_path)
    (tmp_path / "code.py").write_text("a = 1\na = 1\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match="2 times"):
        site.replace("code.py", "a = 1", "a = 2")
    with pytest.raises(ScenarioError, match="0 times"):
        site.replace("code.py", "b = 1", "b = 2")
