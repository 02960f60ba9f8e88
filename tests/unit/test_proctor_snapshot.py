"""Copies of a folder that somebody changes meanwhile, on purpose."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import EnvironmentFault, SubmissionError
from harness.journal import Journal
from harness.layout import site_in
from harness.proctor.snapshot import MAX_DEPTH, MAX_ENTRIES, snapshot, snapshot_registry
from harness.workspace import MAX_BYTES, MAX_FILE_BYTES, MAX_FILES, MAX_PATH_BYTES, Budget, freeze

SECRET = b"the seed is 7"


def test_regular_files_are_copied_with_their_modes_and_scratch_is_not(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (source / "bin" / "serve").write_text("#!/bin/sh\n")
    (source / "bin" / "serve").chmod(0o700)
    (source / "var").mkdir()
    (source / "var" / "cache").write_text("x")
    (source / ".git").mkdir()
    (source / ".git" / "HEAD").write_text("x")
    assert snapshot(source, tmp_path / "copy", ["var"]) == ()
    assert [path.relative_to(tmp_path / "copy").as_posix() for path in sorted((tmp_path / "copy").rglob("*"))] == [
        "bin",
        "bin/serve",
    ]
    assert (tmp_path / "copy" / "bin" / "serve").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_cannot_be_opened_is_refused_or_left_out_with_a_sentence(tmp_path: Path) -> None:
    """Its owner has closed it; here something else stands in its place, for root opens everything."""
    source = tmp_path / "source"
    source.write_text("no folder")
    with pytest.raises(SubmissionError, match="cannot be opened") as caught:
        snapshot(source, tmp_path / "copy")
    assert "chmod" in caught.value.next_step
    assert snapshot(source, tmp_path / "copy", strict=False) == ("'.' cannot be opened (Not a directory).",)
    assert list((tmp_path / "copy").iterdir()) == []


def test_links_pipes_and_sockets_are_passed_over(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "secret").write_bytes(SECRET)
    (source / "file").symlink_to(tmp_path / "secret")
    (source / "folder").symlink_to(tmp_path)
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(source / "s"))
        assert snapshot(source, tmp_path / "copy") == ()
    assert list((tmp_path / "copy").iterdir()) == []


@pytest.mark.parametrize("name", ["file", "folder"])
def test_a_link_that_is_put_in_place_between_look_and_open_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source, secret = tmp_path / "source", tmp_path / "secret"
    for folder in (source / "folder", secret):
        folder.mkdir(parents=True)
        (folder / "inner").write_bytes(SECRET)
    (source / "file").write_bytes(b"honest")
    really_open = os.open
    swapped = []

    def swap_and_open(path: str, flags: int, **words: int) -> int:
        if path == name:
            (source / name).rename(tmp_path / "kept")
            (source / name).symlink_to(secret / "inner" if name == "file" else secret)
            swapped.append(path)
        return really_open(path, flags, **words)

    monkeypatch.setattr(os, "open", swap_and_open)
    problems = snapshot(source, tmp_path / "copy", strict=False)
    monkeypatch.undo()
    assert swapped == [name]
    assert len(problems) == 1
    copied = {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*")}
    assert copied == ({"folder", "folder/inner"} if name == "file" else {"file"})


@pytest.mark.parametrize("name", ["large", "deep", "no text"])
def test_what_is_out_of_bounds_is_refused_or_left_out_with_a_sentence(tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "honest").write_text("x")
    if name == "large":
        with (source / "aaa").open("wb") as file:
            file.truncate(MAX_BYTES * 4)
    elif name == "deep":
        (source / Path(*["d"] * (MAX_DEPTH + 1))).mkdir(parents=True)
    else:
        (source / os.fsdecode(b"\xff")).write_text("x")
    with pytest.raises(SubmissionError) as caught:
        snapshot(source, tmp_path / "copy")
    assert caught.value.next_step
    problems = snapshot(source, tmp_path / "copy", strict=False)
    assert len(problems) == 1
    assert problems[0].isascii()
    assert (tmp_path / "copy" / "honest").read_text() == "x"


def deep(folder: Path, names: list[str]) -> None:
    """Folders below one another with a file in the last, by descriptor: a path may be longer than a system takes."""
    above = os.open(folder, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=above)
        inner = os.open(name, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=above))
    os.close(above)


def test_a_path_longer_than_a_system_takes_is_refused_or_left_out_with_a_sentence(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "honest").write_text("x")
    deep(source, ["d" * 250] * 20)
    try:
        with pytest.raises(SubmissionError, match=f"more than {MAX_PATH_BYTES} bytes") as caught:
            snapshot(source, tmp_path / "copy")
        assert caught.value.next_step
        problems = snapshot(source, tmp_path / "copy", strict=False)
        assert len(problems) == 1
        assert (tmp_path / "copy" / "honest").read_text() == "x"
    finally:
        shutil.rmtree(source)


def test_what_cannot_be_written_where_the_copy_lies_is_left_out(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / Path(*["t" * 200] * 16)
    source.mkdir()
    (source / "honest").write_text("x")
    deep(source, ["d" * 200] * 4)
    long = target / Path(*["t" * 200] * ((3900 - len(str(target))) // 201))
    problems = snapshot(source, long, strict=False)
    assert len(problems) == 1
    assert "cannot be copied" in problems[0]
    assert (long / "honest").read_text() == "x"


@pytest.mark.parametrize("strict", [True, False])
def test_a_full_disk_is_no_reason_to_leave_a_file_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "honest").write_text("x")

    def full(descriptor: int, size: int) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "read", full)
    with pytest.raises(EnvironmentFault, match="No space left") as caught:
        snapshot(tmp_path / "source", tmp_path / "copy", strict=strict)
    assert caught.value.next_step


def test_what_is_said_of_a_name_can_be_written_down_and_read(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with (tmp_path / "source" / "a\u2028b\x85\x1b[2J").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    problems = snapshot(tmp_path / "source", tmp_path / "copy", strict=False)
    assert len(problems) == 1
    assert problems[0].isascii()
    assert problems[0].isprintable()
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("submitted", {"left_out": problems})
    assert journal.read()[0].data == {"left_out": list(problems)}


def test_what_a_snapshot_of_a_registry_keeps_can_be_frozen(tmp_path: Path) -> None:
    source, copy = tmp_path / "registry", site_in(tmp_path / "copy")
    (source / "artifacts").mkdir(parents=True)
    with closing(sqlite3.connect(source / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE runs (name TEXT)")
    names = ["d" * 199] * 4
    deep(source / "artifacts", [*names, "e" * (MAX_PATH_BYTES - 806)])  # as long as a path may be, but for artifacts/
    problems = snapshot_registry(source, copy.registry, strict=False)
    assert len(problems) == 1
    freeze(copy, tmp_path / "a.tar.gz", ())


def test_more_names_than_are_looked_at_end_the_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_ENTRIES > MAX_FILES  # no honest submission comes near
    monkeypatch.setattr("harness.proctor.snapshot.MAX_ENTRIES", 100)
    (tmp_path / "source" / "many").mkdir(parents=True)
    for number in range(101):
        (tmp_path / "source" / "many" / str(number)).symlink_to("x")
    assert "more than" in snapshot(tmp_path / "source", tmp_path / "copy", strict=False)[0]


def test_files_together_have_the_bounds_of_a_submission(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        with (source / str(number)).open("wb") as file:
            file.truncate(2**20)
    budget = Budget()
    budget.take("registry", MAX_FILE_BYTES)
    budget.bytes = MAX_BYTES - 2 * 2**20
    assert len(snapshot(source, tmp_path / "copy", strict=False, budget=budget)) == 1
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["0", "1"]


CRASH = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN IMMEDIATE")
for number in range(3000):
    database.execute("INSERT INTO runs VALUES (?)", ("half" * 50,))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_database_that_a_crash_left_with_a_journal_is_copied_as_before_the_crash(tmp_path: Path) -> None:
    source = tmp_path / "registry"
    (source / "artifacts").mkdir(parents=True)
    (source / "artifacts" / "model").write_text("m")
    with closing(sqlite3.connect(source / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE runs (name TEXT)")
        database.execute("INSERT INTO runs VALUES ('whole')")
    done = subprocess.run([sys.executable, "-c", CRASH, str(source / "mlflow.db")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (source / "mlflow.db-journal").stat().st_size
    before = (source / "mlflow.db").read_bytes()
    snapshot_registry(source, tmp_path / "copy")
    assert (source / "mlflow.db").read_bytes() == before, "what is mounted read-only is not written to"
    with closing(sqlite3.connect(tmp_path / "copy" / "mlflow.db")) as database:
        assert database.execute("SELECT name FROM runs").fetchall() == [("whole",)]
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["artifacts", "mlflow.db"]


def test_what_is_no_database_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    with pytest.raises(SubmissionError, match="cannot be read"):
        snapshot_registry(tmp_path / "registry", tmp_path / "copy")
    (tmp_path / "registry" / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(SubmissionError, match="cannot be read") as caught:
        snapshot_registry(tmp_path / "registry", tmp_path / "copy")
    assert caught.value.next_step
