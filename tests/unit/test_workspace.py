"""Freezing gives the same bytes for the same content; unpacking takes plain files of a submission and nothing else."""

from __future__ import annotations

import gzip
import io
import sqlite3
import tarfile
import threading
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from harness import workspace
from harness.errors import SubmissionError
from harness.layout import site_in
from harness.model import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = site_in(tmp_path / "site")
    (made.workspace / "bin").mkdir()
    (made.workspace / "bin" / "serve").write_text("#!/bin/sh\n", encoding="utf-8")
    (made.workspace / "bin" / "serve").chmod(0o755)
    (made.workspace / "var").mkdir()
    (made.workspace / "var" / "scratch").write_text("x", encoding="utf-8")
    (made.workspace / ".git").mkdir()
    (made.workspace / ".git" / "HEAD").write_text("x", encoding="utf-8")
    with closing(sqlite3.connect(made.registry / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE runs (run_uuid TEXT)")
    return made


def archive_with(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path = tmp_path / "hostile.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def test_the_same_content_freezes_to_the_same_bytes(site: Site, tmp_path: Path) -> None:
    first = workspace.freeze(site, tmp_path / "a.tar.gz", ("var",))
    (site.workspace / "bin" / "serve").touch()
    assert workspace.freeze(site, tmp_path / "b.tar.gz", ("var",)) == first


def test_scratch_and_git_are_left_out_and_modes_are_kept(site: Site, tmp_path: Path) -> None:
    workspace.freeze(site, tmp_path / "a.tar.gz", ("var",))
    workspace.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in workspace.files_of(tmp_path / "out"))
    assert names == ["registry/mlflow.db", "workspace/bin/serve"]
    assert (tmp_path / "out/workspace/bin/serve").stat().st_mode & 0o111


def test_links_are_not_frozen(site: Site, tmp_path: Path) -> None:
    (site.workspace / "passwords").symlink_to("/etc/passwd")
    workspace.freeze(site, tmp_path / "a.tar.gz", ())
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        assert "workspace/passwords" not in tar.getnames()


@pytest.mark.parametrize(
    "info",
    [
        member("../outside"),
        member("workspace/../../outside"),
        member("/etc/cron.d/x"),
        member("elsewhere/x"),
        member("workspace"),
        member("workspace/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("workspace/hard", tarfile.LNKTYPE, "workspace/a"),
        member("workspace/pipe", tarfile.FIFOTYPE),
        member("workspace/device", tarfile.CHRTYPE),
    ],
    ids=lambda info: info.name,
)
def test_an_archive_with_anything_but_plain_files_is_refused(tmp_path: Path, info: tarfile.TarInfo) -> None:
    path = archive_with(tmp_path, (member("workspace/a"), b"x"), (info, b""))
    with pytest.raises(SubmissionError):
        workspace.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = archive_with(tmp_path, (member("workspace/a"), b"x"), (member("workspace/a"), b"y"))
    with pytest.raises(SubmissionError, match="twice"):
        workspace.unpack(path, tmp_path / "out")


def test_a_bomb_is_refused_by_the_size_that_it_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "MAX_FILE_BYTES", 1000)
    path = archive_with(tmp_path, (member("workspace/big"), b"0" * 2000))
    with pytest.raises(SubmissionError, match="larger than"):
        workspace.unpack(path, tmp_path / "out")


def test_more_folders_below_one_another_than_a_copy_can_go_down_are_refused(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 400)
    path = archive_with(tmp_path, (member(f"registry/artifacts/{deep}/file"), b"x"))
    with pytest.raises(SubmissionError, match="folders deep"):
        workspace.unpack(path, tmp_path / "out")


def test_too_many_files_are_refused(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "MAX_FILES", 1)
    with pytest.raises(SubmissionError, match="more than 1 files"):
        workspace.freeze(site, tmp_path / "a.tar.gz", ())
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_is_not_read_whole_before_it_is_counted(tmp_path: Path, kind: bytes) -> None:
    path = archive_with(tmp_path, (member("././@LongLink", kind), bytes(48 * 2**20)), (member("workspace/a"), b"x"))
    tracemalloc.start()
    try:
        with pytest.raises(SubmissionError, match="headers of more than 64 KiB"):
            workspace.unpack(path, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert not (tmp_path / "out").exists()


def test_headers_are_bounded_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "HEADERS_BYTES", 2**20)
    folders = [(member(f"workspace/{number}", tarfile.DIRTYPE), b"") for number in range(3000)]
    with pytest.raises(SubmissionError, match="headers of more than"):
        workspace.unpack(archive_with(tmp_path, *folders), tmp_path / "out")


def test_the_most_files_with_the_longest_paths_are_within_the_bounds_of_headers(tmp_path: Path) -> None:
    folder = "/".join(["f" * 99] * 8)
    files = [(member(f"workspace/{folder}/{number:0180}"), b"x") for number in range(100)]
    archive = archive_with(tmp_path, *files, (member("registry/mlflow.db"), b"x" * 700))
    with gzip.open(archive) as packed:
        each = len(packed.read()) / len(files)
    assert each * workspace.MAX_FILES < workspace.HEADERS_BYTES
    workspace.unpack(archive, tmp_path / "out")
    assert len(list(workspace.files_of(tmp_path / "out"))) == 101


def test_a_sparse_file_is_no_plain_file(tmp_path: Path) -> None:
    sparse = member("workspace/sparse", tarfile.REGTYPE)
    sparse.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,1",
        "GNU.sparse.size": "9",
    }
    with pytest.raises(SubmissionError, match="no plain file"):
        workspace.unpack(archive_with(tmp_path, (sparse, b"x")), tmp_path / "out")


def test_an_archive_whose_content_is_damaged_is_refused(tmp_path: Path) -> None:
    path = archive_with(tmp_path, (member("workspace/a"), bytes(range(256)) * 4000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = b"\xff" * 64
    path.write_bytes(content)
    with pytest.raises(SubmissionError):
        workspace.unpack(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "said"), [("workspace/" + "d/" * 500 + "x", "more than 1000 bytes"), ("workspace/a\0b", "null byte")]
)
def test_a_path_that_no_file_can_have_here_is_refused(tmp_path: Path, name: str, said: str) -> None:
    info = member("workspace/short")
    info.pax_headers = {"path": name}
    with pytest.raises(SubmissionError, match=said):
        workspace.unpack(archive_with(tmp_path, (info, b"x")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_in_sentences_are_escaped() -> None:
    with pytest.raises(SubmissionError) as caught:
        workspace.Budget().take("a\u2028b\x85\x1b[2J", workspace.MAX_FILE_BYTES + 1)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@pytest.mark.slow
def test_a_database_that_stays_locked_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "LOCKED_SECONDS", 0.0)
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)) as database:
        database.execute("CREATE TABLE runs (name TEXT)")
        database.execute("BEGIN EXCLUSIVE")
        ends = threading.Timer(60.0, database.rollback)
        ends.start()
        try:
            with pytest.raises(sqlite3.OperationalError, match="was locked"):
                workspace.copy_database(tmp_path / "a.db", tmp_path / "b.db")
        finally:
            ends.cancel()
            database.rollback()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00broken"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    with pytest.raises(SubmissionError):
        workspace.unpack(path, tmp_path / "out")


def test_an_archive_without_a_registry_is_no_submission(tmp_path: Path) -> None:
    path = archive_with(tmp_path, (member("workspace/a"), b"x"))
    with pytest.raises(SubmissionError, match="lacks"):
        workspace.unpack(path, tmp_path / "out")


def test_changes_name_what_was_added_changed_and_removed() -> None:
    found = workspace.changes({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"})
    assert [(change.path, change.how) for change in found] == [("b", "changed"), ("c", "removed"), ("d", "added")]
