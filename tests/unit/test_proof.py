"""A proof says when a row is not as expected, and when a fault form has no row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import harness
from harness import proof
from harness import scenario as scenarios
from harness import variant as variants
from harness.errors import ScenarioError
from harness.layout import Layouts, site_in
from harness.model import Activity, CheckResult, Diagnosis, Outcome, RunRecord
from harness.proof import Cell, Ledger, Row
from harness.proof.ledger import BASE_UNDER_LOAD, OWN_UNDER_LOAD, UNDER_LOAD, code_digest
from harness.scenario import Scenario
from harness.scoring import score


def record_of(scenario: Scenario, seed: int, failed: set[str], outcome: Outcome = Outcome.FAIL) -> RunRecord:
    """A run in which these checks ended so, and all others passed; without a diagnosis."""
    variant = variants.draw(scenario, seed)
    results = {
        spec.id: CheckResult(id=spec.id, outcome=outcome if spec.id in failed else Outcome.PASS, sentence="Seen.")
        for spec in scenario.spec.check
    }
    spec = scenario.spec
    return RunRecord(
        scenario=spec.id,
        title=spec.title,
        seed=seed,
        attempt="x",
        submission_sha256="0" * 64,
        runtime="process",
        certifiable=False,
        started_at="2024-01-01T00:00:00+00:00",
        seconds=1,
        business_date=variant.business_date,
        variant=variant,
        score=score(spec.check, spec.diagnosis, variant, results, Diagnosis(), {"letters": 4}, spec.fact),
    )


def rows(scenario: Scenario, kind: str) -> list[Row]:
    return [row for row in proof.plan(scenario).rows if row.kind == kind]


def test_the_plan_has_every_kind_of_row_and_covers_every_form(tiny: Scenario) -> None:
    plan = proof.plan(tiny)
    assert plan.uncovered == ()
    assert plan.unfailed == ()
    assert {row.kind for row in plan.rows} == {"symptoms", "healthy", "untouched", "repaired", "solution", "shortcut"}
    assert {row.fault for row in plan.rows if row.kind == "shortcut"} == {"word/sick", "word/tired"}
    for row in plan.rows:
        if row.kind == "shortcut":
            assert row.fault in {fault.id for fault in variants.draw(tiny, row.seed).faults}


def test_a_form_without_a_shortcut_is_uncovered(tiny: Scenario, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder)
    expect = folder / "shortcuts" / "shouts" / "expect.toml"
    expect.write_text(expect.read_text(encoding="utf-8").replace('"word/sick", ', ""), encoding="utf-8")
    assert proof.plan(scenarios.load(folder)).uncovered == ("word/sick",)


def test_a_check_that_no_shortcut_must_fail_is_told(tiny: Scenario, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder)
    shutil.rmtree(folder / "shortcuts" / "blanks")
    assert proof.plan(scenarios.load(folder)).unfailed == ("answers",)


def test_a_shortcut_that_every_variant_hides_is_refused(tiny: Scenario, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder)
    with (folder / "shortcuts" / "blanks" / "expect.toml").open("a", encoding="utf-8") as expect:
        expect.write('hidden_by = ["word/tired"]\n')
    with pytest.raises(ScenarioError, match="draws word/tired without word/tired"):
        proof.plan(scenarios.load(folder))


@pytest.mark.parametrize(("old", "new"), [('"word/sick"', '"word/well"'), ('"says_healthy"', '"says_hello"')])
def test_an_expectation_of_what_does_not_exist_is_refused(tiny: Scenario, tmp_path: Path, old: str, new: str) -> None:
    folder = tmp_path / "shouts"
    shutil.copytree(tiny.folder / "shortcuts" / "shouts", folder)
    path = folder / "expect.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ScenarioError, match="there is no"):
        proof.read_expect(folder, tiny)


def test_a_healthy_row_that_loses_a_point_differs(tiny: Scenario) -> None:
    row = rows(tiny, "healthy")[0]
    cell = proof.judge(row, record_of(tiny, row.seed, {"says_it_again"}))
    assert not cell.good
    assert "says_it_again failed" in cell.differs
    assert cell.sentences.keys() == {"says_it_again"}


def test_an_untouched_row_with_more_than_five_points_differs(tiny: Scenario) -> None:
    row = rows(tiny, "untouched")[0]
    assert proof.judge(row, record_of(tiny, row.seed, {"says_healthy", "says_it_again"})).good
    assert not proof.judge(row, record_of(tiny, row.seed, {"says_it_again"})).good


def test_a_shortcut_that_passes_differs(tiny: Scenario) -> None:
    row = next(row for row in rows(tiny, "shortcut") if row.name == "shouts")
    assert proof.judge(row, record_of(tiny, row.seed, {"says_healthy", "says_it_again"})).good
    cell = proof.judge(row, record_of(tiny, row.seed, {"says_healthy"}))
    assert cell.differs == ("says_it_again did not fail",)


def test_a_shortcut_that_fails_what_it_should_not_differs(tiny: Scenario) -> None:
    row = next(row for row in rows(tiny, "shortcut") if row.name == "shouts")
    cell = proof.judge(row, record_of(tiny, row.seed, {"says_healthy", "says_it_again", "answers"}))
    assert cell.differs == ("answers failed, and is not expected to",)


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.INCONCLUSIVE])
def test_a_row_that_could_not_be_measured_is_not_good(tiny: Scenario, outcome: Outcome) -> None:
    row = rows(tiny, "healthy")[0]
    assert not proof.judge(row, record_of(tiny, row.seed, {"answers"}, outcome)).good


def test_the_page_says_what_a_shortcut_must_fail_and_what_it_may(tiny: Scenario, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder)
    with (folder / "shortcuts" / "shouts" / "expect.toml").open("a", encoding="utf-8") as expect:
        expect.write('may_fail = ["answers"]\n')
    scenario = scenarios.load(folder)
    text = proof.markdown(scenario, proof.plan(scenario), ())
    assert "| fails says_healthy, says_it_again; may fail answers | not run |" in text
    assert "| fails answers, says_healthy, says_it_again | not run |" in text


def test_the_rotation_turns_with_the_commit_and_meets_every_shortcut() -> None:
    scenario = scenarios.find("stale_predictions")
    plan = proof.plan(scenario)
    turns = [proof.rotating(plan.rows, f"commit {number}", 3) for number in range(400)]
    assert turns[0] == proof.rotating(plan.rows, "commit 0", 3)
    for turn in turns:
        assert {row.kind for row in turn} == {"symptoms", "repaired", "untouched", "shortcut"}
        assert sum(row.kind == "shortcut" for row in turn) == 3
    met = {row.id for turn in turns for row in turn}
    assert met >= {row.id for row in plan.rows if row.kind == "shortcut"}


def test_a_single_row_turns_through_all_that_boots_a_stack() -> None:
    rows = proof.plan(scenarios.find("stale_predictions")).rows
    turns = [proof.rotating_one(rows, f"commit {number}") for number in range(3000)]
    assert {len(turn) for turn in turns} == {1}
    assert {turn[0].id for turn in turns} == {row.id for row in rows if row.kind != "symptoms"}


def test_what_a_shortcut_submits_has_its_one_fault_and_its_wrong_repair(tiny: Scenario, tmp_path: Path) -> None:
    row = next(row for row in rows(tiny, "shortcut") if row.fault == "word/sick")
    site = site_in(tmp_path / "site")
    proof.lay_out_row(row, tiny, variants.draw(tiny, row.seed), Layouts(tmp_path / "cache"), site)
    assert (site.workspace / "word.txt").read_text(encoding="utf-8") == "HEALTHY"
    assert (site.workspace / "trace.txt").read_text(encoding="utf-8") == "sick"


def test_a_stopped_proof_resumes_and_a_changed_scenario_starts_again(tiny: Scenario, tmp_path: Path) -> None:
    row = rows(tiny, "healthy")[0]
    cell = Cell(row=row.id, kind="healthy", good=True, low=100, high=100, failed=())
    Ledger(tmp_path / "ledger", tiny, "process").put(row, cell)
    assert Ledger(tmp_path / "ledger", tiny, "process").get(row) == cell
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder)
    (folder / "BRIEF.md").write_text("Say it well.", encoding="utf-8")
    assert Ledger(tmp_path / "ledger", scenarios.load(folder), "process").get(row) == cell
    (folder / "workspace" / "word.txt").write_text("well", encoding="utf-8")
    assert Ledger(tmp_path / "ledger", scenarios.load(folder), "process").get(row) is None


def test_another_runtime_shows_the_healthy_tree_the_untouched_variant_and_every_shortcut(tiny: Scenario) -> None:
    plan = proof.plan(tiny)
    shown = proof.shown_anywhere(plan.rows)
    assert [row.kind for row in shown[:2]] == ["healthy", "untouched"]
    assert set(shown[2:]) == {row for row in plan.rows if row.kind == "shortcut"}


def test_verdicts_of_two_runtimes_stand_beside_each_other(tiny: Scenario) -> None:
    healthy, untouched, shortcut, *_ = shown = proof.shown_anywhere(proof.plan(tiny).rows)

    def cell(row: Row, *failed: str, unsure: bool = False) -> Cell:
        return Cell(row=row.id, kind=row.kind, good=True, low=0, high=0, failed=failed, unsure=unsure)

    here = {healthy.id: cell(healthy), untouched.id: cell(untouched, "says_healthy")}
    there = {healthy.id: cell(healthy), untouched.id: cell(untouched, "answers", "says_healthy")}
    text = proof.parity(tiny, shown, "compose", here, there)
    assert f"| {healthy.id} | none | none | yes |" in text
    assert f"| {untouched.id} | says_healthy | answers, says_healthy | NO |" in text
    assert f"| {shortcut.id} | not run | not run |  |" in text
    assert not proof.same_verdicts(cell(healthy), cell(healthy, unsure=True)), (
        "what was not measured agrees with nothing"
    )


def test_the_true_diagnosis_names_every_drawn_fault(tiny: Scenario, tmp_path: Path) -> None:
    text = proof.true_diagnosis(tiny, variants.draw(tiny, 1), Layouts(tmp_path))
    assert 'component = "page"' in text
    assert 'pointer = "word.txt"' in text
    assert "letters = " in text


def test_a_cell_on_record_counts_for_the_same_code_only(tiny: Scenario, tmp_path: Path) -> None:
    plan = proof.plan(tiny)
    row = plan.rows[0]
    cell = Cell(row=row.id, kind=row.kind, good=True, low=0, high=0, failed=())
    here, record = Ledger(tmp_path / "here", tiny, "process"), tmp_path / "tiny.json"
    here.put(row, cell)
    here.write_record(plan.rows, record)
    assert Ledger(tmp_path / "there", tiny, "process", record).get(row) == cell
    assert Ledger(tmp_path / "there", tiny, "process").get(row) is None
    changed = shutil.copytree(tiny.folder, tmp_path / "tiny")
    (changed / "grader" / "more.py").write_text("MORE = 1\n", encoding="utf-8")
    other = Ledger(tmp_path / "there", scenarios.load(changed), "process", record)
    assert other.get(row) is None
    assert other.earlier(row) == cell
    before = record.read_text(encoding="utf-8")
    other.write_record(plan.rows, record)
    assert record.read_text(encoding="utf-8") == before, "what earlier code got stays until the row is run again"
    other.put(row, cell.model_copy(update={"seconds": 7.0}))
    assert other.earlier(row) is None
    other.write_record(plan.rows, record)
    assert [each["seconds"] for each in json.loads(record.read_text(encoding="utf-8")).values()] == [7.0]


def test_how_load_is_measured_counts_for_rows_that_measured_under_load(tiny: Scenario, tmp_path: Path) -> None:
    shutil.copytree(tiny.folder, tmp_path / "tiny")
    base = tmp_path / "_base"
    (base / "drills").mkdir(parents=True)
    (base / "drills" / "load.py").write_text("LIMIT = 1\n", encoding="utf-8")
    (base / "drills" / "night.py").write_text("LIMIT = 1\n", encoding="utf-8")
    quiet, loaded = rows(tiny, "shortcut")[0], rows(tiny, "healthy")[0]

    def known() -> list[bool]:
        ledger = Ledger(tmp_path / "ledger", scenarios.load(tmp_path / "tiny"), "process")
        return [ledger.get(row) is not None for row in (quiet, loaded)]

    for row, under_load in ((quiet, False), (loaded, True)):
        cell = Cell(row=row.id, kind=row.kind, good=True, low=0, high=0, failed=(), under_load=under_load)
        Ledger(tmp_path / "ledger", scenarios.load(tmp_path / "tiny"), "process").put(row, cell)
    assert known() == [True, True]
    (base / "drills" / "load.py").write_text("LIMIT = 2\n", encoding="utf-8")
    assert known() == [True, False]
    (base / "drills" / "load.py").write_text("LIMIT = 1\n", encoding="utf-8")
    assert known() == [True, True]
    speed = tmp_path / "tiny" / "grader" / "drills" / "speed.py"
    speed.parent.mkdir(parents=True)
    speed.write_text("LIMIT = 2\n", encoding="utf-8")
    assert known() == [True, False]
    (base / "drills" / "night.py").write_text("LIMIT = 2\n", encoding="utf-8")
    assert known() == [False, False]


@pytest.mark.parametrize("kind", ["load", "drill"])
def test_a_cell_says_whether_its_row_measured_under_load(tiny: Scenario, kind: str) -> None:
    row = rows(tiny, "healthy")[0]
    stretch = Activity(name="questions", kind=kind, start=0, end=1)
    record = record_of(tiny, row.seed, set()).model_copy(update={"activities": (stretch,)})
    assert proof.judge(row, record).under_load is (kind == "load")


def test_what_only_measures_load_is_there() -> None:
    """A file that was renamed would count for no row at all."""
    root = Path(harness.__file__).parent
    assert all((root / name).is_file() for name in UNDER_LOAD)
    shared = root.parent / "scenarios" / "_base"
    assert all((shared / name).is_file() for name in BASE_UNDER_LOAD)
    assert all((root.parent / "scenarios" / "broken_pipeline" / name).is_file() for name in OWN_UNDER_LOAD)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('"""Says."""\n\n\ndef one() -> int:\n    """Is one."""\n    return 1  # not two\n', True),
        ("def one() -> int:\n    return 2\n", False),
        ("def two() -> int:\n    return 1\n", False),
        ('def one() -> int:\n    say("one")\n    return 1\n', False),
    ],
)
def test_a_comment_makes_no_other_code(tmp_path: Path, text: str, same: bool) -> None:
    plain, other = tmp_path / "plain.py", tmp_path / "other.py"
    plain.write_text("def one() -> int:\n    return 1\n", encoding="utf-8")
    other.write_text(text, encoding="utf-8")
    assert (code_digest(plain) == code_digest(other)) is same


def test_a_row_of_earlier_code_is_marked(tiny: Scenario) -> None:
    plan = proof.plan(tiny)
    healthy = next(row for row in plan.rows if row.kind == "healthy")
    cell = Cell(row=healthy.id, kind="healthy", good=True, low=100, high=100, failed=())
    now = proof.markdown(tiny, plan, [cell])
    assert f"| {healthy.id} |" in now
    assert "†" not in now
    old = proof.markdown(tiny, plan, [cell], {healthy.id})
    assert f"| {healthy.id} † | 100 | 100 |" in old
    assert f"1 of {len(plan.rows)} rows, marked †" in old
    both = {healthy.id: cell}
    beside = proof.parity(tiny, [healthy], "compose", both, both, old_here={healthy.id})
    assert f"| {healthy.id} | none † | none | yes |" in beside
    assert "1 of 1 rows as processes, marked †" in beside
    beside = proof.parity(tiny, [healthy], "compose", both, both, old_there={healthy.id})
    assert f"| {healthy.id} | none | none † | yes |" in beside
    assert "1 of 1 rows on compose, marked †" in beside
