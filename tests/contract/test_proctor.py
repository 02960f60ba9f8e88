"""A proctor in a process of its own, on the tiny scenario: what it answers, what it keeps, and who may try what."""

from __future__ import annotations

import base64
import json
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from proctored import ROUNDED, SEED, Led, led

from harness.journal import Journal
from harness.proctor import web
from harness.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def attempt(tiny_root: Path, tmp_path: Path) -> Iterator[Led]:
    with led(tiny_root, tmp_path) as here:
        here.up()
        yield here


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar if one.isreg()}  # type: ignore[union-attr]


def kinds(here: Led) -> list[str]:
    return [event.kind for event in Journal(here.state / "journal.jsonl").read()]


def test_a_whole_attempt_by_http(attempt: Led) -> None:
    assert attempt.get("/brief").text.startswith("#")
    assert set(attempt.get("/vocabulary").json()) == {"components", "kinds", "facts", "meanings"}
    status = attempt.get("/status").json()
    assert 10 - attempt.minutes_since_start() - ROUNDED <= status["minutes_left"] <= 10
    assert status["submitted"] is False
    assert status["services"][0]["name"] == "serving"
    assert status["services"][0]["state"] == "running"
    assert attempt.post("/check").json() == [{"check": "the page answers", "ok": True, "sentence": "It answers 200."}]
    assert attempt.post("/estimate", {"text": "five minutes"}).status_code == 200
    (attempt.workspace / "word.txt").write_text("healthy")
    assert attempt.get("/changes").json() == {
        "changes": [{"path": "word.txt", "how": "changed"}],
        "missing": ["diagnosis.toml", "INCIDENT.md"],
    }
    done = attempt.post("/submit")
    assert done.status_code == 200, done.text
    assert done.json()["changes"] == [{"path": "word.txt", "how": "changed"}]
    frozen = members(attempt.state / "submission" / "submission.tar.gz")
    assert frozen["workspace/word.txt"] == b"healthy"
    assert "registry/mlflow.db" in frozen
    sealed = json.loads((attempt.state / "submission" / "sealed.json").read_text())
    assert (sealed["seed"], sealed["estimate"], sealed["submitted"]) == (SEED, "five minutes", True)
    assert kinds(attempt) == ["started", "checked", "estimated", "submitted"]


def test_a_second_submission_is_refused_and_the_first_stays(attempt: Led) -> None:
    attempt.post("/submit")
    archive = attempt.state / "submission" / "submission.tar.gz"
    first = archive.read_bytes()
    (attempt.workspace / "word.txt").write_text("late")
    again = attempt.post("/submit")
    assert again.status_code == 409
    assert "submitted already" in again.json()["error"]
    assert again.json()["exit_code"] == 7
    assert archive.read_bytes() == first
    assert attempt.get("/status").json()["minutes_left"] == 0
    assert attempt.post("/estimate", {"text": "x"}).status_code == 409


def test_many_submissions_at_once_are_one(attempt: Led) -> None:
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(attempt.post("/submit").status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] + [409] * 7
    assert kinds(attempt).count("submitted") == 1


def test_the_state_is_frozen_at_the_deadline_whatever_lies_in_the_workspace(tiny_root: Path, tmp_path: Path) -> None:
    with led(tiny_root, tmp_path, minutes=0.3) as here:
        here.up()
        (here.workspace / "word.txt").write_text("as it was")
        with (here.workspace / "aaa").open("wb") as file:
            file.truncate(10 * 2**30)
        (here.workspace / os.fsdecode(b"\xff\xfe")).write_text("no text")
        by_hand = here.post("/submit")
        assert by_hand.status_code == 422
        assert "exit_code" in by_hand.json()
        until(lambda: here.get("/status").json()["submitted"], 90.0)
        frozen = members(here.state / "submission" / "submission.tar.gz")
        assert frozen["workspace/word.txt"] == b"as it was"
        assert "workspace/aaa" not in frozen
        event = Journal(here.state / "journal.jsonl").read()[-1]
        assert event.data["at_deadline"] is True
        assert any("'aaa' is larger" in sentence for sentence in event.data["left_out"])
        assert json.loads((here.state / "submission" / "submission.json").read_text())["late"] is False
        assert here.post("/submit").status_code == 409


def test_a_registry_beyond_all_bounds_does_not_keep_the_attempt_open(tiny_root: Path, tmp_path: Path) -> None:
    with led(tiny_root, tmp_path, minutes=0.2) as here:
        here.up()
        with (here.home / "registry" / "mlflow.db").open("r+b") as file:
            file.truncate(200 * 2**20)
        until(lambda: here.get("/status").json()["submitted"], 90.0)
        assert "larger" in Journal(here.state / "journal.jsonl").read()[-1].data["left_out"][0]


def test_a_restart_of_the_proctor_keeps_clock_estimate_and_submission(attempt: Led) -> None:
    attempt.post("/estimate", {"text": "an hour"})
    before = attempt.get("/status").json()
    attempt.kill()
    with (attempt.state / "journal.jsonl").open("a") as file:
        file.write('{"at": "half a li')  # what a crash may leave
    attempt.up()
    after = attempt.get("/status").json()
    assert (after["started_at"], after["deadline"]) == (before["started_at"], before["deadline"])
    attempt.post("/submit")
    assert json.loads((attempt.state / "submission" / "sealed.json").read_text())["estimate"] == "an hour"
    attempt.kill()
    attempt.up()
    assert attempt.get("/status").json()["submitted"] is True
    assert attempt.post("/submit").status_code == 409
    assert kinds(attempt) == ["started", "estimated", "submitted"]


def test_a_deadline_that_passed_while_the_proctor_was_down_is_kept_when_it_is_up(
    tiny_root: Path, tmp_path: Path
) -> None:
    with led(tiny_root, tmp_path, minutes=0.05) as here:
        here.up()
        here.kill()
        kept = json.loads((here.state / "attempt.json").read_text())
        until(lambda: datetime.now(UTC) > datetime.fromisoformat(kept["deadline"]), 10.0)
        here.up()
        until(lambda: here.get("/status").json()["submitted"], 20.0)
        assert json.loads((here.state / "submission" / "submission.json").read_text())["late"] is False


def test_a_submission_that_was_whole_when_the_proctor_crashed_is_taken_for_done(attempt: Led) -> None:
    attempt.post("/submit")
    attempt.kill()
    path = attempt.state / "attempt.json"
    path.write_text(path.read_text().replace('"submitted": true', '"submitted": false'))
    journal = attempt.state / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))  # nor was it written down
    attempt.up()
    assert attempt.post("/submit").status_code == 409
    assert kinds(attempt) == ["started", "submitted"]


def test_no_answer_holds_the_seed_the_variant_or_what_is_hidden(attempt: Led) -> None:
    answers = [attempt.get(f"/{path}") for path in ("health", "brief", "vocabulary", "status", "changes")]
    answers += [attempt.post("/check"), attempt.post("/estimate", {"text": "x"}), attempt.post("/reset", {"file": "x"})]
    answers += [attempt.post("/reset", {"file": "word.txt"}), attempt.post("/rehearse"), attempt.post("/submit")]
    for answer in answers:
        text = answer.text + str(answer.headers)
        assert str(SEED) not in text
        assert "word/" not in text  # how faults are named
        assert str(attempt.home) not in text


def test_links_are_not_followed(attempt: Led) -> None:
    secret = attempt.home / "sealed" / "sealed.json"
    (attempt.workspace / "INCIDENT.md").symlink_to(secret)
    (attempt.workspace / "folder").symlink_to(attempt.home / "sealed")
    (attempt.workspace / "word.txt").unlink()
    (attempt.workspace / "word.txt").symlink_to(secret)
    os.mkfifo(attempt.workspace / "pipe")
    assert attempt.get("/changes").json() == {
        "changes": [{"path": "word.txt", "how": "removed"}],
        "missing": ["diagnosis.toml", "INCIDENT.md"],
    }
    attempt.post("/submit")
    frozen = members(attempt.state / "submission" / "submission.tar.gz")
    assert not any(str(SEED).encode() in content for content in frozen.values())
    assert not {"workspace/word.txt", "workspace/INCIDENT.md", "workspace/pipe"} & set(frozen)


def test_reset_hands_out_what_was_given_and_nothing_else(attempt: Led) -> None:
    given = (attempt.workspace / "bin" / "serve").read_bytes()
    (attempt.workspace / "bin" / "serve").write_text("broken")
    answer = attempt.post("/reset", {"file": "bin/serve"}).json()
    assert base64.b64decode(answer["content"]) == given
    assert answer["mode"] == 0o755
    assert (attempt.workspace / "bin" / "serve").read_text() == "broken", "the client writes it, not the proctor"
    for path in ("../sealed.json", "/etc/passwd", "", "bin", "bin/../word.txt", "x" * 900):
        assert attempt.post("/reset", {"file": path}).status_code == 404


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"x" * (web.BODY_BYTES + 1), "application/json", 413),
        (b"[" * web.BODY_BYTES, "application/json", 400),
        (b"no json", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"text": "a", "more": 1}', "application/json", 400),
        (b'{"text": 7}', "application/json", 400),
        (b'{"text": "a"}', "text/plain", 415),
        (b'{"text": "%s"}' % (b"a" * 3000), "application/json", 400),
    ],
)
def test_a_body_that_is_none_is_refused(attempt_for_bodies: Led, content: bytes, kind: str, status: int) -> None:
    url = f"http://127.0.0.1:{attempt_for_bodies.port}/estimate"
    answer = httpx.post(url, content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "next_step", "exit_code"}
    assert answer.json()["next_step"], "a candidate in the box has no more than this to go by"


@pytest.fixture(scope="module")
def attempt_for_bodies(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Led]:
    with led(tiny_root, tmp_path_factory.mktemp("bodies")) as here:
        here.up()
        yield here


def test_a_body_without_an_end_is_cut_off(attempt_for_bodies: Led) -> None:
    head = b"POST /estimate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", attempt_for_bodies.port), timeout=30) as client:
        client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while sent < 2**26:
                client.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                sent += 65536
    assert sent < 2**26
    assert attempt_for_bodies.get("/health").status_code == 200


def test_another_sites_name_is_refused(attempt_for_bodies: Led) -> None:
    url = f"http://127.0.0.1:{attempt_for_bodies.port}/status"
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 400


def test_clients_that_say_nothing_are_closed_and_others_are_answered(attempt_for_bodies: Led) -> None:
    silent = [socket.create_connection(("127.0.0.1", attempt_for_bodies.port)) for _ in range(40)]
    try:
        for one in silent[:20]:
            one.sendall(b"POST /estimate HTTP/1.1\r\nHost: localhost\r\n")
        for one in silent[20:]:
            one.sendall(b"POST /estimate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        b"Content-Length: 100\r\n\r\n{")  # fmt: skip
        assert attempt_for_bodies.get("/health").status_code == 200
        for one in silent:
            one.settimeout(web.HEAD_SECONDS + web.BODY_SECONDS + 10)
            while one.recv(65536):
                continue
    finally:
        for one in silent:
            one.close()


def test_more_connections_than_a_candidate_needs_do_not_keep_the_deadline_off(tiny_root: Path, tmp_path: Path) -> None:
    with led(tiny_root, tmp_path, minutes=0.1) as here:
        here.up()
        crowd = [socket.create_connection(("127.0.0.1", here.port)) for _ in range(web.CONNECTIONS + 20)]
        try:
            until((here.state / "submission" / "sealed.json").is_file, 30.0)
        finally:
            for one in crowd:
                one.close()


def test_a_rehearsal_boots_what_would_be_graded(tiny_root: Path, tmp_path: Path) -> None:
    with led(tiny_root, tmp_path) as here:
        here.open_room()
        here.up(room=True)
        (here.workspace / "given.txt").write_text("forged")
        found = here.post("/rehearse").json()
        assert found["boots"], found
        assert [(one["check"], one["ok"]) for one in found["checks"]] == [("the page answers", True)]
        assert (here.home / "room" / "workspace" / "given.txt").read_text() == "given\n", "fixed parts come fresh"
        here.rooms[0].wait(20)
        here.open_room()
        (here.workspace / "bin" / "serve").write_text("#!/bin/sh\necho a typo; exit 1\n")
        found = here.post("/rehearse").json()
        assert found["boots"] is False
        assert "a typo" in found["sentence"]
        assert kinds(here) == ["started", "rehearsed", "rehearsed"]


def test_one_look_at_a_time_is_taken(attempt: Led) -> None:
    with (attempt.workspace / "large").open("wb") as file:
        file.truncate(48 * 2**20)
    codes: set[int] = set()

    def look() -> None:
        codes.add(attempt.get("/changes").status_code)

    def seen_both() -> bool:
        threads = [threading.Thread(target=look) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {200, 429} <= codes

    until(seen_both, 60.0)
    assert codes == {200, 429}


def test_what_is_no_text_is_kept_out_of_an_estimate(attempt: Led) -> None:
    url, headers = f"http://127.0.0.1:{attempt.port}/estimate", {"Content-Type": "application/json"}
    half = httpx.post(url, content=b'{"text": "\\ud800"}', headers=headers, timeout=30)
    assert half.status_code == 400, "half a character is none"
    assert attempt.post("/estimate", {"text": "an hour\x1b[2J\u202e"}).status_code == 200
    attempt.post("/submit")
    sealed = json.loads((attempt.state / "submission" / "sealed.json").read_text())
    assert sealed["estimate"] == "an hour[2J"


def test_a_rehearsal_without_a_room_says_so(attempt: Led) -> None:
    answer = attempt.post("/rehearse")
    assert answer.status_code == 409
    assert "no rehearsal room" in answer.json()["error"]


def test_an_attempt_whose_fault_is_not_in_place_does_not_begin(tiny_root: Path, tmp_path: Path) -> None:
    with led(tiny_root, tmp_path) as here:
        (here.workspace / "word.txt").write_text("healthy")
        here.start()
        said = until(lambda: here.health() if here.health().get("failed") else None, 60.0)
        assert said["ready"] is False
        assert "not in place" in said["sentence"]
        assert here.post("/submit").status_code == 409
        assert not (here.state / "attempt.json").exists()
