"""An attempt from start to report, on the tiny scenario with real processes; and every way in which it is misused."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import grading
from harness import variant as variants
from harness.errors import AttemptError, EnvironmentFault, SubmissionError, UsageError
from harness.journal import Journal
from harness.layout import site_in
from harness.model import Outcome, RunRecord
from harness.runtime.process import ProcessRuntime
from harness.session import Attempt, Session
from harness.waiting import until
from harness.workspace import MAX_FILE_BYTES

pytestmark = pytest.mark.slow


def started(session: Session, name: str = "a", seed: int = 1) -> Attempt:
    attempt, _ = session.start("tiny", seed, name=name)
    return attempt


def graded(session: Session, name: str, reports: Path) -> RunRecord:
    record, _ = session.grade(name, reports, lambda what, done, of: None)
    return record


def test_a_whole_attempt(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # reports are named relative to it, as people do
    attempt = started(session)
    workspace = session.leader(attempt).workspace
    assert (workspace / ".git").is_dir()
    assert session.leader(attempt).check()[0][1].ok is True
    (workspace / "word.txt").write_text("healthy", encoding="utf-8")
    (workspace / "diagnosis.toml").write_text(
        '[[claim]]\ncomponent = "page"\nkind = "wrong_word"\nfirst_bad_day = "unknown"\npointer = "word.txt"\n',
        encoding="utf-8",
    )
    session.leader(attempt).estimate("five minutes")
    assert session.leader(attempt).rehearse().boots
    assert [(change.path, change.how) for change in session.leader(attempt).changed()[0]] == [
        ("diagnosis.toml", "added"),
        ("word.txt", "changed"),
    ]
    submission = session.submit(attempt)
    session.down(attempt.id)
    record = graded(session, "a", Path("reports"))
    assert {item.spec.id: item.result.outcome for item in record.score.checks} == {
        "says_healthy": Outcome.PASS,
        "says_it_again": Outcome.PASS,
        "answers": Outcome.PASS,
    }
    assert record.score.low == 98, "all but the facts, which were not said"
    assert record.submission_sha256 == submission.sha256
    assert record.certifiable is False
    assert record.estimate == "five minutes"
    assert {path.name for path in (tmp_path / "reports" / "a").glob("*.*")} == {
        "result.json",
        "report.html",
        "junit.xml",
    }
    assert [event.kind for event in Journal(session.home / "journals" / "a.jsonl").read()] == [
        "started", "checked", "estimated", "rehearsed", "submitted", "grading", "graded",
    ]  # fmt: skip


def test_an_untouched_attempt_earns_nothing(session: Session, tmp_path: Path) -> None:
    session.submit(started(session))
    assert graded(session, "a", tmp_path).score.high == 0


def test_what_is_fixed_is_graded_from_fresh_copies(session: Session) -> None:
    attempt = started(session)
    (session.leader(attempt).workspace / "given.txt").write_text("forged", encoding="utf-8")
    archive, scenario = session.submit(attempt).archive, session.scenario_of(attempt)
    graded_from = site_in(session.home / "graded")
    healthy = session.layouts.healthy(scenario, variants.draw(scenario, attempt.seed))
    grading.lay_out_submission(archive, scenario, healthy, graded_from.workspace, graded_from.registry)
    assert (graded_from.workspace / "given.txt").read_text(encoding="utf-8") == "given\n"


def test_a_stack_that_does_not_come_up_fails_every_check(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = started(session)
    (session.leader(attempt).workspace / "bin" / "serve").write_text(
        "#!/bin/sh\necho a typo; exit 1\n", encoding="utf-8"
    )
    assert not session.leader(attempt).rehearse().boots
    session.submit(attempt)
    record = graded(session, "a", tmp_path)
    assert {item.result.outcome for item in record.score.checks} == {Outcome.FAIL}
    assert "a typo" in record.score.checks[0].result.sentence
    assert record.score.complete


def test_a_second_submit_is_refused_and_the_first_stays(session: Session) -> None:
    attempt = started(session)
    first = session.submit(attempt)
    with pytest.raises(AttemptError, match="submitted already") as caught:
        session.submit(attempt)
    assert "exam grade" in caught.value.next_step
    assert session.submission("a")[0].sha256 == first.sha256


def test_at_the_deadline_the_state_as_it_is_is_submitted(tiny_root: Path, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(tiny_root / "tiny", pack / "tiny")
    toml = pack / "tiny" / "scenario.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace("minutes = 10", "minutes = 0.05"), encoding="utf-8")
    session = Session(tmp_path / "home", [pack])
    attempt = started(session)
    try:
        until(lambda: (session.home / "submissions" / "a" / "submission.json").is_file(), 60.0)
        until(lambda: session.attempt("a").submitted, 20.0)
        assert session.submission("a")[0].late is False
        with pytest.raises(AttemptError, match="submitted already"):
            session.submit(attempt)
    finally:
        session.down("a")


def test_at_the_deadline_what_cannot_be_submitted_is_left_out_and_the_journal_says_so(session: Session) -> None:
    attempt = started(session)
    workspace = session.leader(attempt).workspace
    (workspace / "word.txt").write_text("late", encoding="utf-8")
    with (workspace / "dump").open("wb") as dump:
        dump.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(SubmissionError, match="'dump' is larger than"):
        session.submit(attempt)
    session.submit(attempt, at_deadline=True)
    assert [change.path for change in session.submission("a")[0].changes] == ["word.txt"]
    event = next(event for event in session.journal("a").read() if event.kind == "submitted")
    assert "'dump' is larger than" in str(event.data["left_out"])


def test_an_estimate_that_is_too_long_is_refused_and_not_cut(session: Session) -> None:
    leader = session.leader(started(session))
    with pytest.raises(UsageError, match="at most 2000 characters"):
        leader.estimate("x" * 2001)
    leader.estimate("x" * 2000)
    assert len(session.attempt("a").estimate) == 2000


def test_down_keeps_submission_and_journal_and_nothing_else(session: Session) -> None:
    session.submit(started(session))
    session.down("a")
    left = {path.name for path in session.home.iterdir()} - {"cache"}
    assert left == {"attempts", "submissions", "journals"}
    assert list((session.home / "attempts").iterdir()) == []
    assert {path.name for path in (session.home / "journals").iterdir()} == {"a.jsonl"}


def test_a_late_submission_is_late_also_where_its_journal_is_not(session: Session, tmp_path: Path) -> None:
    submission = session.submit(started(session))
    session.down("a")
    said = submission.archive.with_name("submission.json")
    said.write_text(submission.model_copy(update={"late": True}).model_dump_json(), encoding="utf-8")
    journal = session.home / "journals" / "a.jsonl"
    journal.unlink()
    for _ in range(2):
        record = graded(session, "a", tmp_path / "reports")
    assert record.journal[0].kind == "received"
    assert "Submitted after the deadline" in (tmp_path / "reports" / "a" / "report.html").read_text(encoding="utf-8")
    kinds = ["received", "grading", "graded", "grading", "graded"]
    assert [event.kind for event in Journal(journal).read()] == kinds


def test_a_submission_that_a_crash_left_whole_counts(session: Session) -> None:
    attempt = started(session)
    first = session.submit(attempt)
    record = session.home / "attempts" / "a" / "attempt.json"  # a crash may come before it is written anew
    record.write_text(attempt.model_dump_json(), encoding="utf-8")
    (session.leader(attempt).workspace / "word.txt").write_text("later", encoding="utf-8")
    assert session.submit(attempt).sha256 == first.sha256
    assert session.attempt("a").submitted
    assert [event.kind for event in session.journal("a").read()].count("submitted") == 1


def test_an_attempt_does_not_go_on_with_the_journal_of_an_earlier_one(session: Session) -> None:
    for word in ("first", "second", "third"):
        attempt = started(session)
        session.leader(attempt).estimate(word)
        assert [event.kind for event in session.journal("a").read()] == ["started", "estimated"]
        session.down("a")
    journals = session.home / "journals"
    kept = [Journal(journals / name).read()[1].data["text"] for name in ("a.1.jsonl", "a.2.jsonl", "a.jsonl")]
    assert kept == ["first", "second", "third"]


def test_nothing_is_estimated_once_it_is_submitted(session: Session) -> None:
    session.submit(started(session))
    with pytest.raises(AttemptError, match="submitted"):
        session.leader(session.attempt("a")).estimate("too late to say")


def test_an_attempt_of_another_version_keeps_no_other_from_going_on(session: Session) -> None:
    started(session)
    other = session.home / "attempts" / "b"
    other.mkdir()
    (other / "attempt.json").write_text('{"id": "b", "words": 12}', encoding="utf-8")
    with pytest.raises(AttemptError, match="'b' was begun by another version"):
        session.attempt("b")
    assert session.attempt("a").id == "a"
    assert session.unsubmitted("b"), "nobody can say that nothing is lost"
    session.submit(session.attempt("a"))
    session.down("a")
    session.down("b")
    assert session.names() == []


def test_a_name_in_use_is_refused(session: Session) -> None:
    started(session)
    with pytest.raises(UsageError, match="already"):
        started(session)
    assert session.attempt("a").id == "a"


@pytest.mark.parametrize("name", ["", "../a", "a b", "x" * 50])
def test_an_invalid_name_is_refused(session: Session, name: str) -> None:
    with pytest.raises(UsageError, match="not a valid name"):
        session.start("tiny", 1, name=name)


def test_a_port_of_no_service_is_refused(session: Session) -> None:
    for name in ("server", "idle"):
        with pytest.raises(UsageError, match=f"No service '{name}'"):
            session.start("tiny", 1, name="a", ports={name: 3000})
    assert session.names() == []


def test_an_attempt_that_does_not_start_leaves_nothing(session: Session) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EnvironmentFault, match="is taken"):
            session.start("tiny", 1, name="a", ports={"serving": taken.getsockname()[1]})
    assert session.names() == []


def test_reset_puts_a_file_back(session: Session) -> None:
    attempt = started(session)
    path = session.leader(attempt).workspace / "word.txt"
    given = path.read_text(encoding="utf-8")
    path.unlink()
    session.leader(attempt).reset("word.txt")
    assert path.read_text(encoding="utf-8") == given
    with pytest.raises(UsageError, match="not among the files that were given"):
        session.leader(attempt).reset("../attempt.json")


def test_only_the_candidates_services_are_restarted(session: Session) -> None:
    attempt = started(session)
    assert session.restart(attempt, "serving") > 0
    with pytest.raises(UsageError, match="not one of your services"):
        session.restart(attempt, "idle")


def test_a_file_that_is_no_submission_is_refused(session: Session, tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"x")
    with pytest.raises(SubmissionError, match="is not a submission"):
        graded(session, str(tmp_path / "x.tar.gz"), tmp_path)
    with pytest.raises(SubmissionError, match="no submission 'nonesuch'"):
        graded(session, "nonesuch", tmp_path)


def test_a_changed_archive_is_refused(session: Session, tmp_path: Path) -> None:
    submission = session.submit(started(session))
    with submission.archive.open("ab") as file:
        file.write(b"more")
    with pytest.raises(SubmissionError, match="not the one"):
        graded(session, "a", tmp_path)


def test_an_interrupted_grading_is_started_again(session: Session, tmp_path: Path, tiny_root: Path) -> None:
    session.submit(started(session))
    session.down("a")
    code = (
        "import sys; from pathlib import Path; from harness.session import Session\n"
        f"Session(Path({str(session.home)!r}), [Path({str(tiny_root)!r})])"
        f".grade('a', Path({str(tmp_path)!r}), lambda *_: print('on', flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    run = tmp_path / "a" / "stacks" / "candidate" / "run"
    until(lambda: (run / "stack.json").is_file(), 60.0, 0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    record = graded(session, "a", tmp_path)
    assert record.score.complete
    assert json.loads((tmp_path / "a" / "result.json").read_text(encoding="utf-8"))["attempt"] == "a"
    with pytest.raises(AttemptError):
        ProcessRuntime().attach(run)


def test_a_submission_knows_how_long_it_took(session: Session) -> None:
    began = time.monotonic()
    submission = session.submit(started(session))
    assert 0 <= submission.minutes_used <= (time.monotonic() - began) / 60 + 0.1


def test_an_attempt_whose_scenario_is_gone_is_shown_and_ended(tiny_root: Path, tmp_path: Path) -> None:
    pack = Path(shutil.copytree(tiny_root, tmp_path / "pack"))
    here = Session(tmp_path / "home", [pack])
    attempt, _ = here.start("tiny", 1, name="ada")
    try:
        shutil.rmtree(pack)
        leader = here.leader(attempt)
        assert (leader.pages(), leader.frozen(), leader.workspace.is_dir()) == ({}, False, True)
    finally:
        here.down("ada")
    assert here.names() == []
