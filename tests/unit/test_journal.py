"""The journal is a chain: what was written cannot be changed unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import AttemptError
from harness.journal import START, Journal


def written(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "a.jsonl")
    for number in range(3):
        journal.append("restarted", {"number": number})
    return journal


def test_each_event_carries_the_digest_of_the_one_before(tmp_path: Path) -> None:
    events = written(tmp_path).read()
    assert [event.previous for event in events] == [START, events[0].digest, events[1].digest]


@pytest.mark.parametrize(("old", "new"), [('"number":1', '"number":9'), ('"kind":"restarted"', '"kind":"started"')])
def test_a_changed_line_is_seen(tmp_path: Path, old: str, new: str) -> None:
    journal = written(tmp_path)
    journal.path.write_text(journal.path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(AttemptError, match="does not follow"):
        journal.read()


def test_a_removed_line_is_seen(tmp_path: Path) -> None:
    journal = written(tmp_path)
    lines = journal.path.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.path.write_text(lines[0] + lines[2], encoding="utf-8")
    with pytest.raises(AttemptError, match="line 2"):
        journal.read()


@pytest.mark.parametrize("name", ["a\u2028b", "a\x85b", "a\x0cb", "a\rb\nc", "a\x1cb"])
def test_a_name_may_hold_what_ends_a_line_elsewhere(tmp_path: Path, name: str) -> None:
    journal = written(tmp_path)
    journal.append("submitted", {"left_out": [name]})
    assert journal.read()[-1].data == {"left_out": [name]}


@pytest.mark.parametrize("half", [b'{"at": "half a li', b"\xc3", b'{"at": "\xe2\x80'])
def test_a_line_that_was_left_half_written_is_passed_over_and_cut_off_by_the_next(tmp_path: Path, half: bytes) -> None:
    journal = written(tmp_path)
    with journal.path.open("ab") as file:
        file.write(half)
    assert len(journal.read()) == 3
    journal.append("submitted")
    assert [event.kind for event in journal.read()][2:] == ["restarted", "submitted"]
    assert half not in journal.path.read_bytes()


def test_a_whole_line_whose_end_alone_is_missing_stays(tmp_path: Path) -> None:
    journal = written(tmp_path)
    journal.path.write_bytes(journal.path.read_bytes().removesuffix(b"\n"))
    journal.append("submitted")
    assert len(journal.read()) == 4


def test_what_is_no_event_is_named(tmp_path: Path) -> None:
    journal = written(tmp_path)
    with journal.path.open("a", encoding="utf-8") as file:
        file.write("hello\n")
    with pytest.raises(AttemptError, match="line 4 is no event"):
        journal.read()
