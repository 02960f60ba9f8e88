"""The command line: bad use gets one sentence with the next step and a non-zero exit code; output suits pipes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from proctored import ROUNDED

from harness import authoring
from harness import scenario as scenarios
from harness.cli import evaluators
from harness.errors import EnvironmentFault
from harness.runtime.process import MARK
from harness.scenario import SCENARIOS
from harness.session import Session, default_home
from harness.waiting import until

pytestmark = pytest.mark.slow


def exam(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "EXAM_HOME": str(home)}
    command = [sys.executable, "-m", "harness.cli", *words]
    return subprocess.run(command, env=environment, cwd=home.parent, capture_output=True, text=True, timeout=400)


@pytest.mark.parametrize(
    ("words", "code", "says", "next_step"),
    [
        (["start", "nonesuch"], 2, "no scenario 'nonesuch'", "exam list"),
        (["start", "tiny", "--port", "serving"], 2, "not a service and its port", "serving=3000"),
        (
            ["start", "tiny", "--port", "server=3000"],
            2,
            "No service 'server' of tiny has a port",
            "Those that do: serving.",
        ),
        (["start", "tiny", "--runtime", "cloud"], 2, "no runtime 'cloud'", ""),
        (["status"], 7, "No attempt is under way", "exam start"),
        (["submit", "--yes"], 7, "No attempt is under way", "exam start"),
        (["logs", "serving", "--name", "x"], 7, "No attempt is under way", "exam start"),
        (["grade", "x"], 6, "no submission 'x'", "exam submit"),
        (["down", "x"], 7, "no attempt 'x'", "There is none."),
        (["down"], 7, "Which attempt?", "There is none."),
        (["submit", "--json"], 2, "nobody is asked", "--yes"),
        (["report", "x", "--csv", "scores.csv"], 2, "takes all reports", "name"),
        (["report", "x"], 2, "There is no", "exam grade"),
        (["prove", "tiny", "--row", "nonesuch"], 2, "No row", "--dry"),
        (["prove", "tiny", "--row", "healthy", "--row", "nonesuch", "--dry"], 2, "No row", "--dry"),
        (["report", "--csv", "nowhere/scores.csv"], 4, "No such file or directory: 'nowhere/scores.csv'", "again"),
        (["prove", "tiny", "--seeds", "2", "--dry"], 2, "--seeds runs no rows", "--seeds 2` alone"),
        (["prove", "tiny", "--seeds", "0"], 2, "--seeds", "--help"),
        (["list", "--scenarios", "nowhere"], 2, "no folder 'nowhere'", "--scenarios"),
        (["new", "Late-Feeds"], 2, "not a valid name for a scenario", "late_feeds"),
        (["new", "stale_predictions"], 2, "is taken", "another name"),
        (["new", "late_feeds", "--into", "/dev/null/pack"], 4, "cannot be written", "--into"),
    ],
)
def test_bad_use_gets_one_sentence_and_the_next_step(
    tmp_path: Path, tiny_root: Path, words: list[str], code: int, says: str, next_step: str
) -> None:
    roots = ["--scenarios", str(tiny_root)] if words[0] in ("start", "prove") else []
    done = exam(tmp_path / "home", *words, *roots)
    assert done.returncode == code
    assert says in done.stderr
    assert next_step in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not list((tmp_path / "home").glob("attempts/*"))


def test_the_list_is_json_on_request_and_plain_into_a_pipe(tmp_path: Path) -> None:
    home = tmp_path / "home"
    listed = json.loads(exam(home, "list", "--json").stdout)
    assert "stale_predictions" in [entry["id"] for entry in listed]
    plain = exam(home, "list").stdout
    assert "\x1b" not in plain
    assert "stale_predictions\t120" in plain


def test_a_copy_with_more_time_takes_the_place_of_the_public_scenario(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    for name in ("_base", "stale_predictions"):
        shutil.copytree(SCENARIOS / name, pack / name, ignore=shutil.ignore_patterns("__pycache__"))
    toml = pack / "stale_predictions" / "scenario.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace("minutes = 120", "minutes = 180"), encoding="utf-8")
    listed = json.loads(exam(tmp_path / "home", "list", "--scenarios", str(pack), "--json").stdout)
    assert [entry["minutes"] for entry in listed if entry["id"] == "stale_predictions"] == [180]
    assert scenarios.find("stale_predictions", [pack]).folder == pack / "stale_predictions"


def test_a_demo_may_be_repeated_and_is_no_score(tmp_path: Path, tiny_root: Path) -> None:
    words = ["demo", "tiny", "--scenarios", str(tiny_root), "--shortcut", "shouts"]
    for _ in range(2):
        done = exam(tmp_path / "home", *words)
        assert done.returncode == 0, done.stderr
        for run in ("untouched", "repaired", "shouts"):
            assert f"  {run}: reports/demo/" in done.stdout
    assert len(list((tmp_path / "reports" / "demo").glob("*/report.html"))) == 3
    assert exam(tmp_path / "home", "report", "--csv", "scores.csv").returncode == 0
    assert len((tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()) == 1, "its head alone"


def test_an_archive_is_graded_by_its_path_and_its_score_is_listed(session: Session, tiny_root: Path) -> None:
    home = session.home
    exam(home, "start", "tiny", "--scenarios", str(tiny_root), "--seed", "1", "--name", "ada")
    exam(home, "submit", "--yes")
    graded = exam(home, "grade", str(home / "submissions" / "ada" / "submission.tar.gz"))
    assert graded.returncode == 0, graded.stderr
    assert exam(home, "report", "--csv", "scores.csv").returncode == 0
    head, line = (home.parent / "scores.csv").read_text(encoding="utf-8").splitlines()
    row = dict(zip(head.split(","), line.split(","), strict=True))
    record = json.loads((home.parent / "reports" / "ada" / "result.json").read_text(encoding="utf-8"))
    assert (row["attempt"], row["grader"]) == ("ada", record["versions"]["grader"])


def test_doctor_says_what_is_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXAM_HOME", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(evaluators, "MEMORY_GIB", 10_000.0)
    with pytest.raises(EnvironmentFault, match="not fit for an exam"):
        evaluators.doctor(clean=False, json=True)


def test_a_workspace_finds_its_own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inside = tmp_path / ".exam" / "attempts" / "a" / "workspace"
    inside.mkdir(parents=True)
    monkeypatch.delenv("EXAM_HOME", raising=False)
    monkeypatch.chdir(inside)
    assert default_home() == tmp_path / ".exam"
    monkeypatch.setenv("EXAM_HOME", "elsewhere")
    assert default_home() == inside / "elsewhere"


def test_an_attempt_from_another_terminal(session: Session, tiny_root: Path) -> None:
    home, began = session.home, time.monotonic()
    seed = "1876543219"
    said = exam(home, "start", "tiny", "--seed", seed, "--scenarios", str(tiny_root), "--json").stdout
    started = json.loads(said)
    assert "seed" not in started
    assert seed not in said
    status = json.loads(exam(home, "status", "--json").stdout)
    assert [line["name"] for line in status["services"]] == ["serving", "idle"]
    assert 10 - (time.monotonic() - began) / 60 - ROUNDED < status["minutes_left"] <= 10
    today = (home / "attempts" / "exam" / "clock").read_text().strip()
    assert (status["business_date"], status["submitted"]) == (today, False)
    shown = exam(home, "status").stdout
    assert "minutes left; workspace " in shown
    assert f"; today is {today}\n" in shown
    assert "asked /word" in exam(home, "logs", "serving").stdout
    assert exam(home, "restart", "serving").returncode == 0
    checks = exam(home, "check")
    assert "Hidden ones remain" in checks.stdout
    assert exam(home, "start", "tiny", "--scenarios", str(tiny_root)).returncode == 2
    for words in (["down"], ["down", "--all"], ["down", "exam"]):
        refused = exam(home, *words)
        assert refused.returncode == 7
        assert "Not submitted: exam." in refused.stderr
        assert "--yes" in refused.stderr
    assert session.names() == ["exam"]
    assert exam(home, "submit", "--yes").returncode == 0
    again = exam(home, "submit", "--yes")
    assert again.returncode == 7
    assert "submitted already" in again.stderr
    assert exam(home, "down").returncode == 0
    assert session.names() == []


def test_an_attempt_that_was_not_submitted_is_ended_on_request(session: Session, tiny_root: Path) -> None:
    session.start("tiny", 1, name="ada")
    assert exam(session.home, "down", "ada", "--yes").returncode == 0
    assert session.names() == []


def test_a_submission_is_graded_by_no_other_scenario_of_its_name(tiny_root: Path, tmp_path: Path) -> None:
    pack = Path(shutil.copytree(tiny_root, tmp_path / "pack"))
    here = Session(tmp_path / "home", [pack])
    attempt, _ = here.start("tiny", 1, name="ada")
    try:
        here.submit(attempt)
    finally:
        here.down("ada")
    pack.rename(tmp_path / "moved")
    refused = exam(here.home, "grade", "ada")
    assert refused.returncode == 2
    assert f"not in {pack / 'tiny'} any more" in refused.stderr
    assert "--scenarios FOLDER" in refused.stderr
    graded = exam(here.home, "grade", "ada", "--scenarios", "moved")
    assert graded.returncode == 0, graded.stderr
    assert (tmp_path / "reports" / "ada" / "result.json").is_file()


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    done = exam(tmp_path / "home", "--version")
    assert (done.returncode, done.stdout) == (0, f"{metadata.version('production-readiness-exam')}\n")


def test_the_brief_and_its_vocabulary_are_printed(tmp_path: Path, tiny_root: Path) -> None:
    roots = ["--scenarios", str(tiny_root)]
    assert "Say healthy." in exam(tmp_path / "home", "brief", "tiny", *roots).stdout
    words = exam(tmp_path / "home", "brief", "tiny", "--vocabulary", *roots).stdout
    assert "wrong_word" in words
    assert "letters" in words


def test_the_proof_of_the_tiny_scenario_holds(tmp_path: Path, tiny_root: Path) -> None:
    home = tmp_path / "home"
    words = ["prove", "tiny", "--scenarios", str(tiny_root), "--row", "shouts", "--row", "symptoms"]
    done = exam(home, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rows as expected" in done.stdout
    again = exam(home, *words, "--json")
    assert all(cell["good"] for cell in json.loads(again.stdout))
    assert {cell["kind"] for cell in json.loads(again.stdout)} == {"shortcut", "symptoms"}


@pytest.mark.parametrize(
    "words",
    [
        ["brief", "tiny"],
        ["brief", "tiny", "--vocabulary"],
        ["doctor"],
        ["list"],
        ["prove", "tiny", "--dry"],
        ["prove", "tiny", "--row", "symptoms"],
        ["prove", "tiny", "--seeds", "2"],
    ],
    ids=" ".join,
)
def test_json_is_all_that_is_on_the_output_when_it_is_asked_for(
    tmp_path: Path, tiny_root: Path, words: list[str]
) -> None:
    roots = [] if words == ["doctor"] else ["--scenarios", str(tiny_root)]
    assert json.loads(exam(tmp_path / "home", *words, *roots, "--json").stdout)


def test_a_terminated_proof_leaves_no_stack(tmp_path: Path, tiny_root: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "harness.cli", "prove", "tiny", "--row", "shouts", "--scenarios", str(tiny_root)]
    process = subprocess.Popen(command, env={**os.environ, "EXAM_HOME": str(home)}, cwd=tmp_path)
    run = home / "proof" / "tiny" / "row" / "run" / "stacks" / "candidate" / "run"
    written = run / "supervisord.pid"
    supervisor = int(until(lambda: written.is_file() and written.read_text(encoding="utf-8").strip(), 60.0, 0.05))
    process.terminate()
    assert process.wait(60) == 130
    assert not psutil.pid_exists(supervisor)


def test_lint_names_what_is_unsound(tmp_path: Path) -> None:
    home, pack = tmp_path / "home", ["--scenarios", "pack"]
    exam(home, "new", "late_feeds", "--into", "pack")
    assert "is sound" in exam(home, "lint", "late_feeds", *pack).stdout
    folder = tmp_path / "pack" / "late_feeds"
    shutil.rmtree(next((folder / "solutions").glob("*/")))
    fewer = exam(home, "lint", "late_feeds", *pack)
    assert (fewer.returncode, fewer.stdout) == (1, "there are fewer than two solutions\n")
    with (folder / "faults.py").open("a", encoding="utf-8") as code:
        code.write("FORMS = (\n")
    broken = exam(home, "lint", "late_feeds", *pack)
    assert broken.returncode == 3
    assert "does not load: SyntaxError" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_a_turn_on_another_runtime_is_of_the_rows_that_every_runtime_must_show(tmp_path: Path, tiny_root: Path) -> None:
    words = ["prove", "tiny", "--scenarios", str(tiny_root), "--runtime", "compose", "--dry", "--json"]
    shown = [each["row"] for each in json.loads(exam(tmp_path, *words).stdout)]
    turns = [json.loads(exam(tmp_path, *words, "--one", "--rotate", f"{n:040x}").stdout) for n in range(4)]
    assert [len(turn) for turn in turns] == [1] * 4
    assert {turn[0]["row"] for turn in turns} <= set(shown)
    assert not any(row.startswith(("symptoms", "repaired")) for row in shown)


def test_a_private_pack_anywhere_is_listed_linted_proved_and_started(tmp_path: Path) -> None:
    home, pack = tmp_path / "home", ["--scenarios", "my packs"]
    made = exam(home, "new", "late_feeds", "--into", "my packs")
    assert made.returncode == 0, made.stderr
    assert "exam lint late_feeds --scenarios" in made.stdout
    assert "late_feeds" in [entry["id"] for entry in json.loads(exam(home, "list", *pack, "--json").stdout)]
    assert exam(home, "lint", "late_feeds", *pack).returncode == 0
    rows = exam(home, "prove", "late_feeds", *pack, "--dry").stdout
    assert "shouts\tword/sick" in rows
    proved = exam(home, "prove", "late_feeds", *pack, "--row", "untouched")
    assert proved.returncode == 0, proved.stdout + proved.stderr
    started = json.loads(exam(home, "start", "late_feeds", *pack, "--json").stdout)
    elsewhere = tmp_path / "elsewhere" / "home"
    elsewhere.parent.mkdir()
    elsewhere.symlink_to(home)  # the pack was named by a path that means nothing here
    assert "Say healthy." in exam(elsewhere, "brief").stdout
    assert exam(elsewhere, "reset", "word.txt").returncode == 0
    assert exam(elsewhere, "submit", "--yes").returncode == 0
    assert running_below(home)
    assert exam(elsewhere, "down", started["id"]).returncode == 0
    assert not running_below(home)


def running_below(home: Path) -> list[int]:
    """Processes of stacks whose folders lie in a home."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK, "").startswith(str(home)):
                found.append(process.pid)
    return found


def test_the_proof_of_seeds_names_those_that_fail(tmp_path: Path) -> None:
    home, pack = tmp_path / "home", ["--scenarios", "pack"]
    exam(home, "new", "late_feeds", "--into", "pack")
    done = exam(home, "prove", "late_feeds", *pack, "--seeds", "4")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 seeds as expected" in done.stdout
    assert "production\t90\t90" in done.stdout
    brief = tmp_path / "pack" / "late_feeds" / "BRIEF.md"
    brief.write_text("The page is not sick.\n", encoding="utf-8")
    told = json.loads(exam(home, "prove", "late_feeds", *pack, "--seeds", "4", "--json").stdout)
    sick = [cell["seed"] for cell in told["seeds"] if cell["faults"] == ["word/sick"]]
    assert told["summary"]["failed"] == sick
    done = exam(home, "prove", "late_feeds", *pack, "--seeds", "4")
    assert done.returncode == 1
    assert all(f"seed {seed}" in done.stderr for seed in sick)
    assert "word/sick: the brief names its cause, sick" in done.stdout


def test_the_schema_is_printed_as_it_is_published(tmp_path: Path) -> None:
    assert exam(tmp_path / "home", "schema").stdout == authoring.PUBLISHED.read_text(encoding="utf-8")
