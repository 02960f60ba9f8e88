"""A candidate's whole way in real containers: by curl and by `exam` in the box, then collected and graded."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from kits import needs_engine
from needles import seen

from harness import variant as variants
from harness.grading import lay_out_submission
from harness.layout import Layouts
from harness.model import Outcome
from harness.runtime.compose import ComposeStack
from harness.runtime.compose.engine import Failures
from harness.runtime.inside import places
from harness.session import Attempt, Session
from harness.waiting import until
from harness.workspace import digests

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

PROCTOR = "http://proctor:8088"
SEED = 1


class Box:
    """What a candidate can do: run commands in the box, as its user."""

    def __init__(self, session: Session, attempt: Attempt) -> None:
        self.stack = cast(ComposeStack, session.stack(attempt))
        self.name = str(self.stack.container("box").name)

    def run(self, *words: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ["docker", "exec", "-i", "--user", "1000", "-w", places.WORKSPACE, self.name, *words]
        return subprocess.run(command, input=said, capture_output=True, timeout=500, check=False)

    def exam(self, *words: str, said: bytes = b"") -> str:
        """What a command of the client prints; it must work."""
        done = self.run("exam", *words, said=said)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode()

    def curl(self, path: str, body: object = None, base: str = PROCTOR) -> str:
        post = ["-H", "Content-Type: application/json", "-d", json.dumps(body)] if body is not None else []
        done = self.run("curl", "-sS", "--max-time", "60", *post, base + path)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def edit(self, path: str, content: bytes) -> None:
        assert self.run("sh", "-c", f"mkdir -p $(dirname '{path}') && cat > '{path}'", said=content).returncode == 0


@contextmanager
def sitting(session: Session, scenario: str, seed: int) -> Iterator[tuple[Attempt, Box]]:
    needs_engine()
    attempt, _ = session.start(scenario, seed, name="ada", runtime="compose")
    try:
        yield attempt, Box(session, attempt)
    finally:
        session.down("ada")


def test_the_whole_way_of_the_tiny_scenario(session: Session, tmp_path: Path) -> None:
    with sitting(session, "tiny", 5) as (attempt, box):
        assert json.loads(box.curl("/health"))["ready"] is True
        assert box.curl("/brief") + "\n" == box.exam("brief")
        assert json.loads(box.curl("/status"))["deadline"] == attempt.deadline
        assert json.loads(box.curl("/check", {})) == json.loads(box.exam("check", "--json"))
        assert "serving\trunning\t" in box.exam("status")
        box.exam("estimate", "five minutes")
        box.edit("bin/serve", b"#!/bin/sh\necho a typo; exit 1\n")
        bad = box.run("exam", "rehearse")
        assert bad.returncode == 1
        assert b"a typo" in bad.stdout
        box.exam("reset", "bin/serve")
        box.edit("word.txt", b"healthy")
        box.exam("restart", "serving")
        assert box.curl("/word", base="http://box:3000") == "healthy"
        rehearsed = json.loads(box.exam("rehearse", "--json"))
        assert rehearsed["boots"], rehearsed
        assert json.loads(box.curl("/changes"))["changes"] == [{"path": "word.txt", "how": "changed"}]
        assert "Handed in after" in box.exam("submit", said=b"y\n")
        assert box.run("exam", "submit", "--yes").returncode == 7
        box.edit("word.txt", b"too late")
        assert session.leader(attempt).frozen()
        record, _ = session.grade("ada", tmp_path / "reports", lambda what, done, of: None)
    assert {item.result.outcome for item in record.score.checks} == {Outcome.PASS}
    assert record.certifiable
    assert record.estimate == "five minutes"
    assert [event.kind for event in record.journal] == [
        "started", "checked", "checked", "estimated", "rehearsed", "reset", "rehearsed", "submitted",
    ]  # fmt: skip


def shortened(tiny_root: Path, pack: Path) -> Path:
    """A pack with the tiny scenario, of half a minute."""
    shutil.copytree(tiny_root / "tiny", pack / "tiny")
    toml = pack / "tiny" / "scenario.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace("minutes = 10", "minutes = 0.5"), encoding="utf-8")
    return pack


def test_at_the_deadline_the_proctor_freezes_and_the_host_collects(tiny_root: Path, tmp_path: Path) -> None:
    session = Session(tmp_path / "home", [shortened(tiny_root, tmp_path / "pack")])
    with sitting(session, "tiny", 5) as (attempt, box):
        box.edit("word.txt", b"as it was")
        until(lambda: session.leader(attempt).frozen(), 120.0)
        box.edit("word.txt", b"too late")
        submission = session.submit(session.attempt("ada"))
        assert not submission.late
        with tarfile.open(submission.archive) as tar:
            frozen = tar.extractfile("workspace/word.txt")
            assert frozen is not None
            assert frozen.read() == b"as it was"
        assert session.journal("ada").read()[-1].data["at_deadline"] is True


def test_a_workspace_that_its_owner_has_closed_does_not_keep_the_deadline_off(tiny_root: Path, tmp_path: Path) -> None:
    session = Session(tmp_path / "home", [shortened(tiny_root, tmp_path / "pack")])
    with sitting(session, "tiny", 5) as (attempt, box):
        assert box.run("chmod", "311", "/workspace").returncode == 0
        refused = box.run("exam", "submit", "--yes")
        assert refused.returncode != 0
        assert b"chmod u+rwx" in refused.stderr
        until(lambda: session.leader(attempt).frozen(), 120.0)
        assert not session.submit(session.attempt("ada")).late
        left_out = session.journal("ada").read()[-1].data["left_out"]
    assert left_out == ["'.' cannot be opened (Permission denied)."]


def test_down_collects_what_was_frozen_and_nobody_has_asked_for(session: Session) -> None:
    with sitting(session, "tiny", 5) as (_, box):
        box.exam("submit", "--yes")
    assert session.submission("ada")[0].attempt == "ada"
    assert session.names() == []


def test_a_proctor_that_is_killed_comes_back_with_the_same_clock(session: Session) -> None:
    with sitting(session, "tiny", 5) as (attempt, box):
        box.exam("estimate", "an hour")
        proctor = box.stack.container("proctor")
        proctor.exec_run(["python", "-c", "import os, signal; os.kill(1, signal.SIGTERM)"])
        until(lambda: _restarts(proctor) > 0, 60.0)
        until(lambda: box.run("exam", "status").returncode == 0, 60.0)
        assert json.loads(box.curl("/status"))["deadline"] == attempt.deadline
        session.submit(session.attempt("ada"))
        assert session.submission("ada")[1].estimate == "an hour"


def _restarts(container: object) -> int:
    container.reload()  # type: ignore[attr-defined]
    return int(container.attrs["RestartCount"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["stale_predictions", "broken_pipeline"])
def test_the_whole_way_of_a_scenario(name: str, layouts: Layouts, tmp_path: Path) -> None:
    session = Session(tmp_path / "home")
    session.layouts = layouts
    with sitting(session, name, SEED) as (attempt, box):
        scenario = session.scenario_of(attempt)
        healthy = layouts.healthy(scenario, variants.draw(scenario, SEED))
        later = outcomes_to_come(healthy.private / "arrivals")
        assert seen(box.stack.container("traffic").get_archive("/private")[0], later) == later, "the search finds them"
        nothing_to_come(box.stack, "box", later)
        nothing_to_come(box.stack, "registry", later)
        assert json.loads(box.curl("/status"))["minutes_left"] > 100
        before = {one["check"]: one["ok"] for one in json.loads(box.curl("/check", {}))}
        assert before["services are ready"] is True
        assert before["diagnosis.toml makes claims"] is False
        given = layouts.broken(scenario, variants.draw(scenario, SEED)).workspace
        repaired = _code_that_differs(given, healthy.workspace)
        assert repaired, "the variant breaks code"
        for path in repaired:
            box.edit(path, (healthy.workspace / path).read_bytes())
        box.edit("diagnosis.toml", b'[[claim]]\ncomponent = "cache"\nkind = "clock_skew"\npointer = "config.toml"\n')
        box.edit("INCIDENT.md", b"# What happened\nAnswers were stale.\n")
        box.exam("restart", "serving")
        after = {one["check"]: one["ok"] for one in json.loads(box.exam("check", "--json"))}
        assert set(after.values()) == {True}
        rehearsed = rehearse(box, "Answers were stale.", later)
        assert rehearsed["boots"], rehearsed["sentence"]
        nothing_to_come(box.stack, "registry", later)
        assert {one["check"]: one["ok"] for one in rehearsed["checks"]} == after, rehearsed["checks"]
        assert "Handed in" in box.exam("submit", "--yes")
        submission = session.submit(session.attempt("ada"))
    assert {change.path for change in submission.changes} >= {*repaired, "diagnosis.toml", "INCIDENT.md"}
    place = tmp_path / "graded"
    place.mkdir()
    lay_out_submission(submission.archive, scenario, healthy, place / "workspace", place / "registry")
    assert digests(place / "workspace" / "feeds") == digests(healthy.workspace / "feeds")


def nothing_to_come(stack: ComposeStack, name: str, later: set[str]) -> None:
    """What lies in a container's volumes says nothing of the days to come."""
    for mount in stack.container(name).attrs["Mounts"]:
        assert seen(stack.container(name).get_archive(mount["Destination"])[0], later) == set(), mount["Destination"]


def rehearse(box: Box, mark: str, later: set[str]) -> dict[str, Any]:
    """Rehearse, and look into the room meanwhile: it holds the workspace, and nothing of days to come."""
    room = box.stack.container("rehearsal")
    found: set[str] = set()
    with ThreadPoolExecutor(max_workers=1) as pool:
        said = pool.submit(box.exam, "rehearse", "--json")
        while not said.done():
            with suppress(*Failures):  # it begins anew after each rehearsal
                packed = room.exec_run(["tar", "-cf", "-", "/workspace", "/registry", "/tmp"], stream=True)[1]
                found |= seen(packed, {mark, *later})
            time.sleep(1.0)
    assert found == {mark}, "the search finds what is there"
    rehearsed: dict[str, Any] = json.loads(said.result())
    return rehearsed


def outcomes_to_come(arrivals: Path) -> set[str]:
    """A line of each day that no candidate may have: who flew, and when it came."""
    lines = {path.read_text(encoding="utf-8").splitlines()[1] for path in sorted(arrivals.glob("*.csv"))}
    assert len(lines) > 3
    return lines


def _code_that_differs(given: Path, healthy: Path) -> list[str]:
    """Files of code and configuration that a fault changed: what is repaired by an editor."""
    old, new = digests(given), digests(healthy)
    return [path for path in new if old.get(path) != new[path] and path.endswith((".py", ".toml"))]
