"""The load driver against servers whose latency is known: theory says what it must measure."""

from __future__ import annotations

import json
import multiprocessing
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from harness.probes.load import Duet, duet, ratio, valid
from harness.probes.load_capacity import Saturation, saturate, share, unsound
from harness.runtime import ports

BODIES = [{"rows": [{"row_id": f"r{index}"}]} for index in range(20)]


def right() -> list[list[float]]:
    return [[0.5]] * len(BODIES)


QUESTIONS = [{"rows": [{"row_id": f"c{index}"}]} for index in range(2500)]
"""More than a stack is asked within a turn."""

pytestmark = pytest.mark.slow


def _serve(port: int, service_s: float, stall: tuple[float, float], risk: float, one_at_a_time: bool) -> None:
    """A server in a process of its own: `stall` (1, 5) holds everything for the first second in every five."""
    lock = threading.Lock() if one_at_a_time else None
    begin = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["rows"]
            if stall[1] and (phase := (time.monotonic() - begin) % stall[1]) < stall[0]:
                time.sleep(stall[0] - phase)
            if lock:
                with lock:
                    time.sleep(service_s)
            else:
                time.sleep(service_s)
            model = {"name": "flight-delay", "version": "1", "run_id": "r"}
            answer = {"p_late": risk, "model": model, "feature_date": None, "features": {}}
            body = json.dumps([{"row_id": row["row_id"], **answer} for row in rows]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def _serve_hostile(port: int, kind: str) -> None:
    """A server in a process of its own that answers every question in one hostile way."""

    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            self.head = b"".join(iter(self.rfile.readline, b"\r\n")).decode().lower()
            length = next(int(line.split(":")[1]) for line in self.head.splitlines() if line.startswith("content-l"))
            row = json.loads(self.rfile.read(length))["rows"][0]["row_id"]
            model = {"name": "flight-delay", "version": "1", "run_id": "r"}
            right = {"row_id": row, "p_late": 0.5, "model": model, "feature_date": None, "features": {}}
            with suppress(OSError):  # the client has gone
                HOSTILE[kind](self, right)

        def answer(self, content: Any, cut: int | None = None, more: bytes = b"") -> None:
            body = json.dumps([content]).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (more, len(body)) + body[:cut])

    class Server(socketserver.ThreadingTCPServer):
        request_queue_size = 128
        daemon_threads = True

    Server(("127.0.0.1", port), Handler).serve_forever()


def _closes_unsaid(server: Any, right: dict[str, Any]) -> None:
    """As the standard library's server does: it closes when asked to, and does not say so."""
    server.answer(right)


def _hints(server: Any, right: dict[str, Any]) -> None:
    """An interim answer, as HTTP allows, and the answer in a piece of its own."""
    server.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
    time.sleep(0.01)
    server.answer(right)


def _padded(server: Any, right: dict[str, Any]) -> None:
    server.answer(right | {"more": [0.5] * 40_000})


def _endless_head(server: Any, right: dict[str, Any]) -> None:
    server.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        server.wfile.write(b"a" * 65536)


def _endless_interim(server: Any, right: dict[str, Any]) -> None:
    while True:
        server.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def _in_pieces(server: Any, right: dict[str, Any]) -> None:
    server.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for byte in json.dumps([right | {"more": "x" * 3000}]).encode():
        server.wfile.write(bytes([byte]))
        time.sleep(0.001)


def _broken_off(server: Any, right: dict[str, Any]) -> None:
    server.answer(right, cut=20)


def _cookies(server: Any, right: dict[str, Any]) -> None:
    """Within the bound of a head; and whoever brings one back is told something else."""
    cookies = b"".join(b"Set-Cookie: c%d=1; Path=/; Max-Age=60\r\n" % number for number in range(200))
    server.answer(right | {"p_late": 0.4} if "\ncookie:" in server.head else right, more=cookies)


def _key_that_is_no_text(server: Any, right: dict[str, Any]) -> None:
    server.answer(right | {"features": {"\ud800" * 900: [1]}})


HOSTILE = {
    "closes unsaid": _closes_unsaid,
    "hints": _hints,
    "padded": _padded,
    "endless head": _endless_head,
    "endless interim": _endless_interim,
    "in pieces": _in_pieces,
    "broken off": _broken_off,
    "cookies": _cookies,
    "no text": _key_that_is_no_text,
}

Start = Callable[..., str]


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[Any] = []

    def one(
        service_s: float = 0.01,
        stall: tuple[float, float] = (0, 0),
        risk: float = 0.5,
        one_at_a_time: bool = False,
        hostile: str = "",
    ) -> str:
        port = ports.draw()
        serve, told = _serve, (port, service_s, stall, risk, one_at_a_time)
        process = multiprocessing.get_context("spawn").Process(
            target=_serve_hostile if hostile else serve, args=(port, hostile) if hostile else told, daemon=True
        )
        process.start()
        processes.append(process)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"http://127.0.0.1:{port}"
            time.sleep(0.05)
        raise TimeoutError("the server of this test did not start")

    yield one
    for process in processes:
        process.terminate()
        process.join(10)


def window(candidate: str, reference: str, **more: Any) -> Duet:
    """One window, whatever the machine made of it: outcomes do not depend on when a request was sent."""
    settings: dict[str, Any] = {"right": right, "rate": 40, "seconds": 8, "seed": 1} | more
    return duet({"candidate": candidate, "reference": reference}, BODIES, **settings)


def run(candidate: str, reference: str, **more: Any) -> Duet:
    """A valid window. One that the machine spoilt is repeated, as a check does."""
    why: list[str] = []
    while len(why) < 3:
        found = window(candidate, reference, **more)
        reason = valid(found)
        if reason is None:
            return found
        why.append(reason)
    pytest.fail(f"three windows, none valid: {why}")


def test_a_stall_shows(start: Start) -> None:
    """A second in five stalled: a fifth of the arrivals wait for up to a second, so p95 is 0.75 s and p99 0.95 s."""
    found = run(start(0.002, stall=(1, 5)), start(0.002), rate=30, seconds=30)
    assert found.quantile("candidate", 0.95) == pytest.approx(750, abs=120)
    assert found.quantile("candidate", 0.99) == pytest.approx(950, abs=80)
    assert found.quantile("reference", 0.95) < 150
    assert found.not_ok("candidate") == 0


def test_identical_servers_are_equal(start: Start) -> None:
    found = run(start(0.1), start(0.1))
    interval = ratio(found)
    assert interval.low <= 1.05
    assert interval.high >= 0.95
    assert found.not_ok("candidate") == 0


def test_twice_as_slow_is_seen_and_arrivals_are_seeded(start: Start) -> None:
    slow, quick = start(0.2), start(0.1)
    found = run(slow, quick, seconds=5)
    assert ratio(found, 0.5).low > 1.5
    again = run(slow, quick, seconds=5)
    assert found.intended.tolist() == again.intended.tolist()
    assert found.stack.tolist() == again.stack.tolist()


def test_wrong_answers_are_wrong(start: Start) -> None:
    found = window(start(risk=0.4), start(), seconds=2)
    assert set(found.outcomes("candidate")) == {"wrong"}
    assert set(found.outcomes("reference")) == {"ok"}
    assert "0.400000" in found.first["candidate"]


def all_counted(window: Duet) -> bool:
    """Whether as many requests of one stack count as of the other; one pair may lie on the window's edge."""
    return abs(window.of("candidate").size - window.of("reference").size) <= 1


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        ("padded", "more than 16384 bytes a row"),
        ("endless head", "a head of more than 16384 bytes"),
        ("endless interim", "a head of more than 16384 bytes"),
        ("in pieces", "pieces"),
    ],
)
def test_an_answer_that_costs_the_driver_is_wrong_and_spoils_no_window(start: Start, hostile: str, said: str) -> None:
    found = run(start(hostile=hostile), start(), right=None, seconds=3)
    outcomes = found.outcomes("candidate")
    assert outcomes["wrong"] == found.oversized["candidate"] > 0.9 * outcomes.total()
    assert not outcomes["ok"]
    assert said in found.first["candidate"]
    assert all_counted(found)
    assert found.driver_cpu < 0.7, "it is cut off early"
    assert found.not_ok("reference") < 0.1 * found.of("reference").size


def test_each_request_has_a_connection_of_its_own(start: Start) -> None:
    """One that the other side is about to close would fail a request of an honest server now and then."""
    found = window(start(hostile="closes unsaid"), start(), rate=100, seconds=5)
    assert set(found.outcomes("candidate")) == {"ok"}
    turn = saturate({"candidate": start(hostile="closes unsaid")}, QUESTIONS, None, 4)
    assert set(turn.outcomes["candidate"]) == {"ok"}


def test_an_interim_answer_is_not_the_answer(start: Start) -> None:
    found = window(start(hostile="hints"), start(), rate=100, seconds=3)
    assert set(found.outcomes("candidate")) == {"ok"}


def test_cookies_are_neither_brought_back_nor_cost_the_driver(start: Start) -> None:
    """Kept, they cost it some milliseconds an answer, and the window is the candidate's to spoil."""
    found = run(start(hostile="cookies"), start(), seconds=3)
    assert set(found.outcomes("candidate")) == {"ok"}
    assert all_counted(found)
    assert found.driver_cpu < 0.7


def test_a_request_counts_whatever_its_answer_does_to_the_client(start: Start) -> None:
    found = window(start(hostile="broken off"), start(), seconds=2, right=None)
    assert set(found.outcomes("candidate")) == {"failed"}
    assert all_counted(found)
    assert "broke off" in found.first["candidate"]


def test_what_a_wrong_answer_holds_can_be_written_down_and_is_short(start: Start) -> None:
    found = window(start(hostile="no text"), start(), seconds=2, right=None)
    assert found.outcomes("candidate")["wrong"] > 0.9 * found.of("candidate").size
    assert len(found.first["candidate"]) < 250


def test_a_dead_server_fails_and_the_window_stands(start: Start) -> None:
    found = run("http://127.0.0.1:9", start(), seconds=2, right=None)
    assert set(found.outcomes("candidate")) == {"failed"}
    assert found.quantile("candidate", 0.5) == found.timeout_ms
    assert found.not_ok("reference") == 0


def test_silence_is_a_timeout(start: Start) -> None:
    found = window(start(30), start(), seconds=2, timeout_s=1.0)
    assert set(found.outcomes("candidate")) == {"timeout"}
    assert found.quantile("candidate", 0.5) == 1000


def test_capacity_is_what_a_stack_carries_at_most(start: Start) -> None:
    """One at a time at 15 ms: 67 a second at most, and half of it at 30. What disturbs them can only make it less."""
    urls = {"reference": start(0.015, one_at_a_time=True), "candidate": start(0.03, one_at_a_time=True)}
    turns: list[Saturation] = []
    while len(turns) < 3 and max((each.rate("reference") for each in turns), default=0.0) < 45:
        turns.append(saturate(urls, QUESTIONS, None, 4))
    rates = [(each.rate("reference"), each.rate("candidate")) for each in turns]
    assert 45 < max(reference for reference, _ in rates) < 68, rates
    assert share(turns).high < 0.75, rates
    assert unsound(turns) is None
    assert not any(each.first for each in turns)


def test_a_question_is_not_repeated_to_measure_capacity(start: Start) -> None:
    """A cache of answers would make it more. Here the questions are used up in well under a second."""
    found = saturate({"reference": start(0.002)}, BODIES, right, 4, warm_s=0.0)
    assert found.outcomes == {"reference": {"ok": len(BODIES)}}


def test_in_closed_loop_a_dead_server_carries_nothing(start: Start) -> None:
    """It uses the questions up at once, before a second has passed."""
    found = saturate({"reference": start(0.1), "candidate": "http://127.0.0.1:9"}, QUESTIONS[:400], None, 2)
    assert set(found.outcomes["candidate"]) == {"failed"}
    assert share([found]).high == 0
    assert unsound([found]) is None


def test_in_closed_loop_silence_is_a_timeout_and_the_turn_ends(start: Start) -> None:
    found = saturate({"reference": start(), "candidate": start(30)}, QUESTIONS, None, 2, timeout_s=1.0)
    assert set(found.outcomes["candidate"]) == {"timeout"}
    assert found.rate("candidate") == 0
    assert unsound([found]) is None
