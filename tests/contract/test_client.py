"""The candidate's `exam` against a real proctor and a real supervisord, as the box has them."""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from proctored import ROUNDED, Led, led

from harness.runtime.process import _socket
from harness.waiting import until

pytestmark = pytest.mark.slow

EXAM = Path(__file__).parents[2] / "harness" / "client" / "exam.py"


class Client:
    def __init__(self, here: Led) -> None:
        self.here = here
        self.environment = {
            "EXAM_PROCTOR": f"http://127.0.0.1:{here.port}",
            "EXAM_SUPERVISOR": str(_socket(here.home / "run")),
            "EXAM_WORKSPACE": str(here.workspace),
            "EXAM_DESCRIPTION": str(here.home / "stack.json"),
        }

    def __call__(self, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", str(EXAM), *words],
            env=self.environment, capture_output=True, text=True, input=said, cwd=self.here.workspace, timeout=600,
            check=False,
        )  # fmt: skip


@pytest.fixture
def exam(tiny_root: Path, tmp_path: Path) -> Iterator[Client]:
    with led(tiny_root, tmp_path) as here:
        (tmp_path / "stack.json").write_text(json.dumps({"environment": {"WORD_FILE": "/a b"}}))
        here.up()
        yield Client(here)


def test_a_whole_attempt_by_the_client(exam: Client) -> None:
    assert exam("brief").stdout == (exam.here.root / "tiny" / "BRIEF.md").read_text() + "\n"
    assert exam("brief", "--vocabulary").stdout.startswith("component\tmeaning\npage\twhat is said\nclock\t")
    assert json.loads(exam("brief", "--vocabulary", "--json").stdout)["kinds"] == ["wrong_word", "late"]
    status = exam("status")
    assert "ada (tiny), ends at " in status.stdout
    assert "serving\trunning\thttp://127.0.0.1:" in status.stdout
    assert json.loads(exam("status", "--json").stdout)["workspace"] == str(exam.here.workspace)
    assert exam("status", "--env").stdout == "export WORD_FILE='/a b'\n"
    assert exam("estimate", "an hour").stdout == "Recorded.\n"
    assert "ok\tthe page answers\tIt answers 200.\n" in exam("check").stdout
    (exam.here.workspace / "word.txt").write_text("healthy")
    refused = exam("submit", said="n\n")
    assert refused.stdout.endswith("Nothing was handed in.\n")
    assert "changed\tword.txt\nMissing: diagnosis.toml, INCIDENT.md.\n" in refused.stdout
    done = exam("submit", said="y\n")
    assert done.returncode == 0, done.stderr
    told = re.search(r"Handed in after (\S+) minutes", done.stdout)
    assert told
    assert 0 <= float(told[1]) <= exam.here.minutes_since_start() + ROUNDED
    again = exam("submit", "--yes", "--json")
    assert (again.returncode, again.stdout) == (7, "")
    assert again.stderr == "error: The attempt 'ada' is submitted already.\n       There is nothing more to do.\n"
    assert "submitted" in exam("status").stdout


def test_restart_waits_and_shows_the_log_of_a_service_that_does_not_come_up(exam: Client) -> None:
    good = exam("restart", "serving")
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith("serving is ready after ")
    (exam.here.workspace / "bin" / "serve").write_text("#!/bin/sh\nprintf 'a typo \\033[2J\\n'; exit 1\n")
    bad = exam("restart", "serving")
    assert bad.returncode == 5
    assert "serving ends again and again. The end of its log:\n" in bad.stderr
    assert "a typo [2J" in bad.stderr
    assert "\x1b" not in bad.stderr + exam("logs", "serving").stdout
    assert "serving\tfailed\t" in exam("status").stdout
    assert exam("reset", "bin/serve").stdout == "bin/serve is as it was given.\n"
    assert exam("restart", "serving").returncode == 0
    none = exam("restart", "nothing")
    assert none.returncode == 2
    assert "not one of your services: idle, serving" in none.stderr


def test_reset_writes_the_given_bytes_and_mode_and_nothing_outside(exam: Client) -> None:
    path = exam.here.workspace / "bin" / "serve"
    given = path.read_bytes()
    (exam.here.home / "outside").write_text("mine")
    path.unlink()
    path.symlink_to(exam.here.home / "outside")
    assert exam("reset", "bin/serve").returncode == 0
    assert (exam.here.home / "outside").read_text() == "mine", "the link is replaced, not followed"
    assert path.read_bytes() == given
    assert path.stat().st_mode & 0o777 == 0o755
    for outside in ("../attempt.json", "/etc/passwd", "none.txt"):
        failed = exam("reset", outside)
        assert failed.returncode == 2
        assert len(failed.stderr.splitlines()) == 2


def test_a_log_is_followed_as_lines_come(exam: Client) -> None:
    words = [sys.executable, "-I", str(EXAM), "logs", "serving", "-f", "-l", "0"]
    with subprocess.Popen(words, env=exam.environment, stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        shown = following.stdout

        def line() -> bytes:
            exam.here.post("/check")  # which asks for the word; again, for following may begin after it was asked
            return shown.readline() if select.select([shown], [], [], 2.0)[0] else b""

        try:
            until(lambda: line() == b"asked /word\n", 60.0)
        finally:
            following.terminate()


def test_a_rehearsal_that_does_not_boot_is_exit_code_1(tiny_root: Path, tmp_path: Path) -> None:
    with led(tiny_root, tmp_path) as here:
        here.open_room()
        here.up(room=True)
        exam = Client(here)
        (here.workspace / "bin" / "serve").write_text("#!/bin/sh\necho a typo; exit 1\n")
        bad = exam("rehearse")
        assert bad.returncode == 1
        assert "a typo" in bad.stdout
        assert "Hidden ones remain" not in bad.stdout
