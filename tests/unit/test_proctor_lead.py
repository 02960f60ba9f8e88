"""A proctor's watch over the deadline, without a stack: what may go wrong while it freezes, and what must not."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness import variant as variants
from harness.attempt import GRACE_SECONDS, Attempt, begun
from harness.errors import AttemptError
from harness.journal import Journal
from harness.layout import Layouts
from harness.proctor import lead
from harness.proctor.lead import Places, Proctor
from harness.proctor.sealed import Sealed, seal
from harness.scenario import Scenario
from harness.waiting import until
from harness.workspace import copy_tree

SEED = 7


@pytest.fixture
def places(tiny: Scenario, layouts: Layouts, tmp_path: Path) -> Places:
    """An attempt that has begun and whose time is just over."""
    made = Places(*(tmp_path / name for name in ("sealed", "workspace", "registry", "clock", "state")))
    variant = variants.draw(tiny, SEED)
    seal(Sealed(attempt="ada", scenario="tiny", seed=SEED, urls={}), tiny, variant, layouts, made.sealed)
    copy_tree(made.sealed / "given", made.workspace)
    copy_tree(made.sealed / "healthy" / "registry", made.registry)
    made.clock.write_text("2024-01-01\n")
    made.state.mkdir()
    over(made, tiny, 1.0)
    return made


def over(made: Places, tiny: Scenario, seconds: float) -> None:
    """The attempt's time has been over for so many seconds."""
    attempt = begun(
        tiny,
        variants.draw(tiny, SEED),
        made.workspace,
        name="ada",
        runtime="compose",
        public=False,
        laid_out_seconds=0,
        ready_seconds=0,
    )
    deadline = datetime.now(UTC) - timedelta(seconds=seconds)
    began = deadline - timedelta(minutes=tiny.spec.minutes)
    times = {"deadline": deadline.isoformat(timespec="seconds"), "started_at": began.isoformat(timespec="seconds")}
    (made.state / "attempt.json").write_text(attempt.model_copy(update=times).model_dump_json())


def kept(made: Places) -> Attempt:
    return Attempt.model_validate_json((made.state / "attempt.json").read_text())


def journal(made: Places) -> Journal:
    return Journal(made.state / "journal.jsonl")


def word(made: Places) -> bytes:
    """What was frozen of the file that the tiny scenario is about."""
    with tarfile.open(made.state / "submission" / "submission.tar.gz") as tar:
        content = tar.extractfile("workspace/word.txt")
        assert content is not None
        return content.read()


def watched(proctor: Proctor) -> threading.Thread:
    """The watch in a thread of its own, as a proctor has it."""
    thread = threading.Thread(target=proctor.watch, args=(threading.Event(),), daemon=True)
    thread.start()
    return thread


def test_a_freeze_that_fails_is_written_down_and_tried_again(
    places: Places, tiny: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lead, "RETRY_SECONDS", 0.05)
    (places.state / "submission").write_text("in the way")
    thread = watched(Proctor(places, tiny, None))
    until(lambda: len(journal(places).read()) > 1, 20.0, 0.05)
    assert {event.kind for event in journal(places).read()} == {"freeze_failed"}
    assert "FileExistsError" in journal(places).read()[0].data["error"]
    (places.state / "submission").unlink()
    thread.join(20.0)
    assert not thread.is_alive()
    assert kept(places).submitted
    assert journal(places).read()[-1].kind == "submitted"


def test_a_journal_that_cannot_be_written_does_not_end_the_watch(
    places: Places, tiny: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lead, "RETRY_SECONDS", 0.05)
    proctor = Proctor(places, tiny, None)
    (places.workspace / "word.txt").write_text("as it was")
    (places.state / "journal.jsonl").mkdir()  # neither what was frozen nor what failed can be written down
    thread = watched(proctor)
    until((places.state / "submission" / "sealed.json").is_file, 20.0, 0.05)
    (places.workspace / "word.txt").write_text("changed since")
    thread.join(1.0)  # several tries
    assert thread.is_alive()
    assert not kept(places).submitted
    (places.state / "journal.jsonl").rmdir()
    thread.join(20.0)
    assert not thread.is_alive()
    assert kept(places).submitted
    assert word(places) == b"as it was", "what was frozen first stays"
    assert [event.kind for event in journal(places).read()].count("submitted") == 1


def test_a_half_written_line_of_the_journal_does_not_keep_the_deadline_off(places: Places, tiny: Scenario) -> None:
    proctor = Proctor(places, tiny, None)
    journal(places).append("checked")
    with journal(places).path.open("ab") as file:
        file.write(b'{"at": "half a li')  # what a full disk leaves
    thread = watched(proctor)
    thread.join(20.0)
    assert not thread.is_alive()
    assert kept(places).submitted
    assert [event.kind for event in journal(places).read()] == ["checked", "submitted"]


def test_the_watch_ends_where_the_attempt_was_handed_in_by_hand(places: Places, tiny: Scenario) -> None:
    over(places, tiny, -1.5)
    proctor = Proctor(places, tiny, None)
    proctor.submit()
    proctor.watch(threading.Event())
    assert [event.kind for event in journal(places).read()] == ["submitted"]
    with pytest.raises(AttemptError, match="submitted already"):
        proctor.submit()


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(("seconds", "late"), [(5.0, False), (GRACE_SECONDS + 30.0, True)])
def test_a_freeze_that_comes_long_after_the_deadline_is_late_whoever_causes_it(
    places: Places, tiny: Scenario, seconds: float, late: bool, asked: bool
) -> None:
    over(places, tiny, seconds)
    proctor = Proctor(places, tiny, None)
    if asked:
        proctor.submit()
    else:
        proctor.watch(threading.Event())
    assert json.loads((places.state / "submission" / "submission.json").read_text())["late"] is late
    event = journal(places).read()[-1].data
    assert event["at_deadline"] is True
    assert event.get("late", False) is late


def test_no_name_keeps_the_deadline_off(places: Places, tiny: Scenario) -> None:
    (places.workspace / "word.txt").write_text("as it was")
    with (places.workspace / "a\u2028b\x85c").open("wb") as file:
        file.truncate(2**30)
    above = os.open(places.workspace, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=above)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = inner
    os.close(above)
    try:
        thread = watched(Proctor(places, tiny, None))
        thread.join(20.0)
        assert not thread.is_alive()
        assert kept(places).submitted
        assert word(places) == b"as it was"
        said = journal(places).read()[-1].data["left_out"]
        assert len(said) == 2
        assert all(sentence.isascii() and sentence.isprintable() for sentence in said)
    finally:
        shutil.rmtree(places.workspace)
