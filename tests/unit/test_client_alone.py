"""The client by itself: it needs nothing but a Python, and shows nothing that a terminal would interpret."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.client import command, show
from harness.client.box import last_lines
from harness.errors import EnvironmentFault

ROOT = Path(__file__).parents[2]
COPIED = ("__init__.py", "errors.py", "text.py", "waiting.py", "client")


def test_a_copy_without_any_package_runs(tmp_path: Path) -> None:
    for name in COPIED:
        source, target = ROOT / "harness" / name, tmp_path / "harness" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    words = [sys.executable, "-I", "-S", "-B", str(tmp_path / "harness" / "client" / "exam.py")]
    done = subprocess.run([*words, "--help"], capture_output=True, text=True, cwd="/", check=True)
    for name in ("brief", "status", "logs", "restart", "reset", "check", "estimate", "rehearse", "submit"):
        assert name in done.stdout
    lost = subprocess.run(
        [*words, "status"], capture_output=True, text=True, env={"EXAM_PROCTOR": "http://127.0.0.1:9"}, check=False
    )
    assert lost.returncode == 4
    assert lost.stdout == ""
    assert lost.stderr.startswith("error: The proctor does not answer")
    assert len(lost.stderr.splitlines()) == 2, "one sentence and the next step"


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b]0;owned\x07", "a\rb", "\u202eevil", "\x9b31m", "\x00"])
def test_nothing_shown_is_interpreted_by_a_terminal(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    show.say(hostile)
    show.table(["a"], [[hostile]])
    show.fail(hostile, hostile)
    said = capsys.readouterr()
    assert not any(ord(char) < 32 and char not in "\n\t" for char in said.out + said.err)
    assert not {"\x9b", "\u202e", "\r"} & set(said.out + said.err)


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_json({"file": "\x1b[2J\u202eä"})
    assert capsys.readouterr().out.isascii()


def test_files_are_named_from_the_workspace_or_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path / "bin")
    assert command._from_workspace("serve", tmp_path) == "bin/serve"
    assert command._from_workspace(str(tmp_path / "bin" / "serve"), tmp_path) == "bin/serve"
    monkeypatch.chdir("/")
    assert command._from_workspace("bin/serve", tmp_path) == "bin/serve"
    for outside in ("/etc/passwd", "../x", "bin/../../x"):
        with pytest.raises(command.UsageError):
            command._from_workspace(outside, tmp_path)


def test_a_log_is_shown_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 3_000_000 + b"\none\ntwo\n\xff\n")
    assert last_lines(log, 3) == ["one", "two", "\ufffd"]
    assert last_lines(tmp_path / "none.log", 3) == []


def test_what_the_box_cannot_do_is_a_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def brief(_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "word.txt")

    monkeypatch.setattr(command, "brief", brief)
    assert command.main(["brief"]) == EnvironmentFault.exit_code
    said = capsys.readouterr().err
    assert "No space left on device: 'word.txt'" in said
    assert len(said.splitlines()) == 2, "one sentence and the next step"
