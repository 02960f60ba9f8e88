"""Looks at services that somebody hostile may have put there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from harness.model import ServiceSpec
from harness.proctor import looks

SPEC = ServiceSpec(name="serving", owner="candidate", command=("bin/serve",), ready="/readyz")
Says = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serving() -> Iterator[Says]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def start(says: Callable[[socket.socket], None]) -> str:
            def serve() -> None:
                client, _ = server.accept()
                with client:
                    client.recv(65536)
                    says(client)

            threading.Thread(target=serve, daemon=True).start()
            return f"http://127.0.0.1:{server.getsockname()[1]}"

        yield start


@pytest.mark.parametrize(("status", "state"), [(b"200 OK", "running"), (b"503 No", "starting")])
def test_a_service_is_what_it_says(serving: Says, status: bytes, state: str) -> None:
    url = serving(lambda client: client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"))
    assert looks.service_status(SPEC, url).state == state


def test_a_service_that_is_not_there_is_stopped() -> None:
    assert looks.service_status(SPEC, "http://127.0.0.1:9").state == "stopped"


def test_a_service_that_drips_holds_a_look_no_longer_than_one_that_is_silent(
    serving: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "LOOK_SECONDS", 0.5)
    ended = threading.Event()

    def drip(client: socket.socket) -> None:
        end = time.monotonic() + 20
        with suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not ended.wait(0.05) and time.monotonic() < end:
                client.sendall(b"a")

    url, began = serving(drip), time.monotonic()
    try:
        assert looks.service_status(SPEC, url).state == "stopped"
        assert time.monotonic() - began < 5
    finally:
        ended.set()
