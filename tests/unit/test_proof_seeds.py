"""A proof of seeds says of each seed what its author did wrong, and of all of them whether scores compare."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import proof
from harness import scenario as scenarios
from harness import variant as variants
from harness.model import DrawnFault
from harness.proof import SeedCell
from harness.proof.seeds import causes_in, healthy_beside, look_at
from harness.scenario import Scenario

APPLY = '        site.replace("word.txt", "healthy", word + "!" * fault.values["marks"])\n'
DATE = "    day = date(2024, 1, 1) + timedelta(days=rng.randrange(366))\n"


def edited(tiny: Scenario, folder: Path, path: str, old: str, new: str) -> Scenario:
    """The tiny scenario with one mistake of its author."""
    shutil.copytree(tiny.folder, folder / "tiny", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "tiny" / path
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
    return scenarios.load(folder / "tiny")


def problems(scenario: Scenario, folder: Path) -> list[str]:
    cells = [look_at(scenario, seed, folder / str(seed))[0] for seed in (1, 2, 3)]
    return [problem for cell in cells for problem in cell.problems]


def test_the_skeleton_has_nothing_to_be_said_against(tiny: Scenario) -> None:
    cells = list(proof.prove_seeds(tiny, 30))
    assert [cell.seed for cell in cells] == list(range(1, 31))
    told = proof.summary(tiny, cells)
    assert [*told.failed, *told.problems, *(problem for cell in cells for problem in cell.problems)] == []
    assert told.points["production"] == (90, 90)
    assert set(told.drawn) == {"word/sick", "word/tired"}
    assert sum(told.drawn.values()) == 30


@pytest.mark.parametrize(
    ("path", "old", "new", "says"),
    [
        ("faults.py", '"healthy", word', '"healthier", word', "does not apply: ScenarioError: word.txt"),
        ("faults.py", 'fault.values["marks"]', 'fault.values["spots"]', "does not apply: KeyError"),
        ("faults.py", APPLY, '        site.replace("word.txt", "healthy", "healthy")\n', "changes no file"),
        ("faults.py", APPLY, APPLY + '        site.story["word"] = word\n', "belongs in tell"),
        ("faults.py", 'shows_in=("says_healthy",)', 'shows_in=("answers",)', "which is no check of its slot"),
        ("faults.py", '("page", "wrong_word")', '("page", "wrong_worm")', "is not of the vocabulary"),
        ("story.py", 'rng.randrange(1_000, 100_000)', '1 // 0', "cannot be drawn: ZeroDivisionError"),
        ("BRIEF.md", "Say healthy.", "Say healthy, not Sick or tired.", "the brief names its cause"),
        ("BRIEF.md", "Say healthy.", "It is the wrong\nword.", "the brief names its cause, wrong_word"),
        (
            "faults.py", APPLY,
            APPLY + '        (site.workspace / "word.txt.orig").write_text("?", encoding="utf-8")\n',
            "word.txt.orig may hold what stood there before",
        ),
        (
            "faults.py", APPLY,
            APPLY + '        (site.workspace / "spare.txt").write_text("healthy\\n", encoding="utf-8")\n',
            "spare.txt is a copy of the healthy word.txt",
        ),
        (
            "faults.py", APPLY,
            APPLY + '        (site.workspace / ".git").mkdir()\n',
            ".git may hold what stood there before",
        ),
        (
            "faults.py", APPLY,
            APPLY + '        site.replace("bin/serve", "self.end_headers()", "# self.end_headers()")\n',
            "bin/serve holds a healthy line as a comment: self.end_headers()",
        ),
    ],
)  # fmt: skip
def test_a_mistake_of_the_author_is_said(
    tiny: Scenario, tmp_path: Path, path: str, old: str, new: str, says: str
) -> None:
    said = problems(edited(tiny, tmp_path, path, old, new), tmp_path)
    assert any(says in problem for problem in said), said


def test_a_draw_that_another_process_makes_otherwise_is_said(tiny: Scenario, tmp_path: Path) -> None:
    scenario = edited(tiny, tmp_path, "story.py", "rng.randrange(1_000, 100_000)", 'hash("visitors")')
    cells = list(proof.prove_seeds(scenario, 3))
    assert [cell.problems for cell in cells] == [("another process lays it out in another way",)] * 3


def test_neighbours_that_draw_the_same_are_said(tiny: Scenario, tmp_path: Path) -> None:
    scenario = edited(tiny, tmp_path, "story.py", DATE, "    day = date(2024, 1, 1) + timedelta(days=1)\n")
    story = scenario.folder / "story.py"
    text = story.read_text(encoding="utf-8").replace("rng.randrange(1_000, 100_000)", "4711")
    story.write_text(text, encoding="utf-8")
    alike = [
        seed
        for seed in range(2, 21)
        if variants.draw(scenario, seed).faults == variants.draw(scenario, seed - 1).faults
    ]
    cells = list(proof.prove_seeds(scenario, 20))
    assert alike
    assert [cell.seed for cell in cells if cell.problems] == alike
    assert f"it draws the same as seed {alike[0] - 1}" in cells[alike[0] - 1].problems


def fault(form: str, kind: str) -> DrawnFault:
    return DrawnFault(slot="gate", form=form, pairs=(("gate", kind),), symptom="It shows.", shows_in=("held",))


@pytest.mark.parametrize(
    ("brief", "named"),
    [
        ("The gate has gate_wrong_way.", ["wrong_way"]),
        ("It goes the Wrong\nWay round: a target-leak.", ["wrong_way", "target_leak"]),
        ("Nothing is awry: wrongways, target leaks.", []),
    ],
)
def test_a_cause_is_named_however_its_words_are_joined_but_not_by_other_words(brief: str, named: list[str]) -> None:
    assert causes_in(brief, fault("wrong_way", "target_leak")) == named


def test_a_short_line_or_a_new_comment_is_no_healthy_text(tmp_path: Path) -> None:
    for name, text in (("healthy", "pass\ntotal = add(1, 2)\n"), ("broken", "# pass\ntotal = add(1, 3)  # by hand\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text(text, encoding="utf-8")
    assert list(healthy_beside(tmp_path / "healthy", tmp_path / "broken")) == []


@pytest.mark.parametrize(("most", "problems"), [(25.0, 0), (25.5, 1)])
def test_points_at_stake_for_a_skill_stay_within_five_of_each_other(tiny: Scenario, most: float, problems: int) -> None:
    rest = dict.fromkeys(("modelling", "evaluation", "production", "communication"), 0.0)
    cells = [SeedCell(seed=n, points={"data": points, **rest}) for n, points in enumerate((20.0, most), 1)]
    told = proof.summary(tiny, cells)
    assert len(told.problems) == problems
    assert told.points["data"] == (20, most)
