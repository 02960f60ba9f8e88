"""Questions over HTTP against small hand-written stacks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from harness import waiting
from harness.errors import BadAnswer
from harness.model import Stack
from harness.probes.http import Trickle, Wrong, ask, ask_raw, versions_seen
from harness.probes.wait import until

Respond = Callable[[BaseHTTPRequestHandler, list[dict[str, Any]]], None]
ROW = {"row_id": "a1"}


class FakeStack:
    """A stack with one endpoint for every service."""

    name = "candidate"

    def __init__(self, url: str) -> None:
        self._url = url

    def endpoint(self, service: str) -> str:
        return self._url


def answers(rows: list[dict[str, Any]], version: str = "1") -> bytes:
    model = {"name": "flight-delay", "version": version, "run_id": "r"}
    return json.dumps(
        [{"row_id": row["row_id"], "p_late": 0.5, "model": model, "feature_date": None, "features": {}} for row in rows]
    ).encode()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def serve() -> Iterator[Callable[[Respond], Stack]]:
    servers: list[ThreadingHTTPServer] = []

    def start(respond: Respond) -> Stack:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["rows"]
                try:
                    respond(self, rows)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return cast(Stack, FakeStack(f"http://127.0.0.1:{server.server_port}"))

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_answers_come_in_order(serve: Callable[[Respond], Stack]) -> None:
    stack = serve(lambda handler, rows: send(handler, answers(rows)))
    assert [each.row_id for each in ask(stack, [{"row_id": "x"}, {"row_id": "y"}])] == ["x", "y"]


def test_a_refusal_is_the_stacks_and_raw_questions_show_it(serve: Callable[[Respond], Stack]) -> None:
    stack = serve(lambda handler, rows: send(handler, b"origin: must be EWR, JFK or LGA", 422))
    with pytest.raises(BadAnswer, match="422: origin") as caught:
        ask(stack, [ROW])
    assert caught.value.stack == "candidate"
    assert ask_raw(stack, [{"origin": "ZZZ"}]) == (422, "origin: must be EWR, JFK or LGA")


def test_a_dead_stack_is_blamed() -> None:
    with pytest.raises(BadAnswer, match="no answer"):
        ask(cast(Stack, FakeStack("http://127.0.0.1:9")), [ROW])


def test_a_wrong_body_is_told_from_a_failed_request(serve: Callable[[Respond], Stack]) -> None:
    stack = serve(lambda handler, rows: send(handler, b"[]"))
    with pytest.raises(Wrong, match="0 rows"):
        ask(stack, [ROW])


def test_redirects_are_not_followed(serve: Callable[[Respond], Stack]) -> None:
    def redirect(handler: BaseHTTPRequestHandler, rows: list[dict[str, Any]]) -> None:
        handler.send_response(307)
        handler.send_header("Location", "http://127.0.0.1:9/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with pytest.raises(BadAnswer, match="307"):
        ask(serve(redirect), [ROW])


def drip_head(handler: BaseHTTPRequestHandler, rows: list[dict[str, Any]]) -> None:
    for _ in range(300):
        handler.wfile.write(b"H")
        time.sleep(0.1)


def drip_body(handler: BaseHTTPRequestHandler, rows: list[dict[str, Any]]) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(300):
        handler.wfile.write(b" ")
        time.sleep(0.1)


@pytest.mark.parametrize("drip", [drip_head, drip_body])
def test_a_byte_at_a_time_is_late(serve: Callable[[Respond], Stack], drip: Respond) -> None:
    start = time.monotonic()
    with pytest.raises(BadAnswer):
        ask(serve(drip), [ROW], timeout=0.5)
    assert time.monotonic() - start < 15, "half a second was given; the drip lasts half a minute"


def test_a_body_without_end_is_cut(serve: Callable[[Respond], Stack]) -> None:
    def flood(handler: BaseHTTPRequestHandler, rows: list[dict[str, Any]]) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65536)

    with pytest.raises(BadAnswer, match="more than"):
        ask(serve(flood), [ROW])


def test_versions_of_all_workers_are_counted(serve: Callable[[Respond], Stack]) -> None:
    count = iter(range(1000))
    stack = serve(lambda handler, rows: send(handler, answers(rows, str(next(count) % 2))))
    assert versions_seen(stack, ROW, 20) == {"0": 10, "1": 10}


def test_a_trickle_counts_failed_and_wrong(serve: Callable[[Respond], Stack]) -> None:
    count, answered = iter(range(1000)), []

    def mixed(handler: BaseHTTPRequestHandler, rows: list[dict[str, Any]]) -> None:
        number = next(count)
        if number == 2:
            send(handler, b"no model", 503)
        else:
            send(handler, answers(rows, "9" if number == 12 else "1"))
        answered.append(number)

    began = time.monotonic()
    with Trickle(
        serve(mixed), [ROW], rate=50, expected=lambda answer: None if answer.model.version == "1" else "wrong version"
    ) as trickle:
        waiting.until(lambda: len(answered) >= 16, 20.0, 0.02)
    result = trickle.result
    assert (result.failed, result.wrong) == (1, 1)
    assert "503" in result.first
    assert 16 <= result.sent <= 50 * (time.monotonic() - began) + 5
    assert result.versions == {"1": result.sent - 2}


def test_a_trickle_meets_a_stack_that_hangs(serve: Callable[[Respond], Stack]) -> None:
    asked: list[int] = []

    def hang(handler: BaseHTTPRequestHandler, rows: list[dict[str, Any]]) -> None:
        asked.append(len(rows))
        time.sleep(1.0)

    with Trickle(serve(hang), [ROW], rate=20, timeout=0.3) as trickle:
        waiting.until(lambda: len(asked) >= 5, 20.0, 0.02)
    assert trickle.result.failed == trickle.result.sent >= 5
    assert "0.3 s" in trickle.result.first


def test_waiting_ends_with_a_diagnosis() -> None:
    stack = cast(Stack, FakeStack(""))
    states = iter(["version 3", "version 3", None])
    assert until(stack, "the new version answers", lambda: next(states), 5, 0.01) < 1

    def failing() -> str | None:
        raise BadAnswer("candidate", "/predict answered 503.")

    with pytest.raises(BadAnswer, match=r"Not within 0\.05 s: x\. Last seen: /predict answered 503"):
        until(stack, "x", failing, 0.05, 0.01)


def test_another_stacks_fault_is_no_state_to_wait_on() -> None:
    def failing() -> str | None:
        raise BadAnswer("reference", "gone")

    with pytest.raises(BadAnswer) as caught:
        until(cast(Stack, FakeStack("")), "x", failing, 5, 0.01)
    assert caught.value.stack == "reference"
