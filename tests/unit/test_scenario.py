"""Scenarios are read strictly, and say what is wrong with them."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

from harness import scenario as scenarios
from harness.errors import ScenarioError, UsageError
from harness.layout import source_digest
from harness.scenario import Scenario
from harness.vocabulary import unexplained, vocabulary


def broken(tiny_root: Path, tmp_path: Path, old: str, new: str) -> Path:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_root / "tiny", folder)
    text = (folder / "scenario.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "scenario.toml").write_text(text.replace(old, new), encoding="utf-8")
    return folder


def test_every_public_scenario_is_sound() -> None:
    found = list(scenarios.available())
    assert found
    for scenario in found:
        assert scenarios.lint(scenario) == []


def test_a_sound_scenario_has_no_problems(tiny: Scenario) -> None:
    assert scenarios.lint(tiny) == []


def test_a_private_pack_is_found_beside_the_public_ones(tiny_root: Path) -> None:
    assert scenarios.find("tiny", [tiny_root]).folder == tiny_root / "tiny"
    assert "tiny" in [scenario.spec.id for scenario in scenarios.available([tiny_root])]


def test_an_unknown_scenario_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="stale_predictions"):
        scenarios.find("nonesuch")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = "tiny"', 'id = "other"', "the folder is named"),
        ("minutes = 10", "minutes = 0", "minutes"),
        ("minutes = 10", "minutes = 10\nminuets = 10", "minuets"),
        ('owner = "candidate"', 'owner = "nobody"', "owner"),
        ("minutes = 10", "minutes = ", "line"),
    ],
)
def test_a_malformed_file_is_refused_with_its_place(
    tiny_root: Path, tmp_path: Path, old: str, new: str, says: str
) -> None:
    with pytest.raises(ScenarioError, match=says):
        scenarios.load(broken(tiny_root, tmp_path, old, new))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("points = 60", "points = 50", "worth 90 points, not 100"),
        ('needs = ["says_healthy"]', 'needs = ["says_well"]', "which is no check"),
        ('id = "says_it_again"', 'id = "answers"', "declared twice"),
        ('slots = ["word"]', 'slots = ["word", "tone"]', "fewer than two forms"),
    ],
)
def test_lint_says_what_does_not_add_up(tiny_root: Path, tmp_path: Path, old: str, new: str, says: str) -> None:
    problems = scenarios.lint(scenarios.load(broken(tiny_root, tmp_path, old, new)))
    assert any(says in problem for problem in problems)


def test_what_scenarios_share_lies_beside_them_and_counts_for_layouts(tiny_root: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_root / "tiny", tmp_path / "tiny")
    scenario = scenarios.load(tmp_path / "tiny")
    assert scenario.base is None
    alone = source_digest(scenario)
    (tmp_path / "_base").mkdir()
    (tmp_path / "_base" / "shared.py").write_text("WORD = 'shared'\n", encoding="utf-8")
    (tmp_path / "tiny" / "borrows.py").write_text("from scenario_base.shared import WORD\n", encoding="utf-8")
    before = dict(sys.modules)
    try:
        assert scenario.module("borrows").WORD == "shared"
        assert source_digest(scenario) != alone
    finally:  # other tests go on with what they loaded
        sys.modules.clear()
        sys.modules.update(before)


@pytest.mark.parametrize("scenario", list(scenarios.available()), ids=lambda scenario: scenario.spec.id)
def test_every_word_of_a_diagnosis_has_a_meaning(scenario: Scenario) -> None:
    words = vocabulary(scenario)
    assert set(words["meanings"]) == {*words["components"], *words["kinds"]}


def test_a_scenario_of_its_own_place_says_what_its_words_mean(tiny: Scenario) -> None:
    assert vocabulary(tiny)["meanings"]["late"] == "the right word comes too late"


OURS = ("harness.model", "harness.errors", "harness.probes")
CODE = sorted(
    path
    for path in (Path(__file__).parents[2] / "scenarios").rglob("*.py")
    if not {"workspace", "solutions", "shortcuts"} & set(path.parts)
)


@pytest.mark.parametrize("path", CODE, ids=lambda path: "/".join(path.parts[-3:]))
def test_a_scenario_imports_of_the_harness_only_records_errors_and_probes(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in named:
            assert name.split(".")[0] != "harness" or name.startswith(OURS), f"{path.name} imports {name}"


def test_a_word_that_nothing_is_said_of_is_a_problem(tiny: Scenario, tmp_path: Path) -> None:
    assert unexplained(tiny) == []
    copied = scenarios.load(shutil.copytree(tiny.folder, tmp_path / "tiny"))
    told = (copied.folder / "VOCABULARY.md").read_text(encoding="utf-8")
    (copied.folder / "VOCABULARY.md").write_text(told.replace("| late |", "| early |"), encoding="utf-8")
    assert unexplained(copied) == ["VOCABULARY.md says nothing of 'late'"]
