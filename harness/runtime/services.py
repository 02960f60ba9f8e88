"""What runtimes share about services: whether one answers, what its supervisor says of it, and how that is told."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from harness.client.box import STATES
from harness.errors import NotReady, UsageError
from harness.model import Record, ServiceSpec
from harness.runtime.base import ServiceStatus

LOOK_SECONDS = 2.0
LOG_LINES = 12
MAX_PAGE = 2**20


class Entry(Record):
    """What supervisord says of one program; `statename` is its own word."""

    name: str
    statename: str
    pid: int
    description: str
    spawnerr: str

    @staticmethod
    def of(said: Mapping[str, Any]) -> Entry:
        """From an answer that says more. Raises KeyError for one that says less, ValueError for one of another kind."""
        return Entry.model_validate({name: said[name] for name in Entry.model_fields})


def answers(url: str) -> bool:
    """Whether an address answers 200 within two seconds, all of it: one that sends a byte a second does not answer.

    No redirect is followed, and no proxy of this machine's environment is asked.
    """
    place = urlsplit(url)
    path = f"{place.path or '/'}{'?' if place.query else ''}{place.query}"
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=LOOK_SECONDS)
    end = time.monotonic() + LOOK_SECONDS
    try:
        connection.connect()
        with _cut(connection.sock, end):
            connection.request("GET", path)
            answer = connection.getresponse()
            short = len(answer.read(MAX_PAGE + 1)) <= MAX_PAGE
        return answer.status == 200 and short and time.monotonic() < end
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _cut(opened: socket.socket, end: float) -> Iterator[None]:
    """End a connection at a time on the monotonic clock: a socket's own timeout begins anew with every byte."""

    def cut() -> None:
        with suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, end - time.monotonic()), cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def spec_of(services: Mapping[str, ServiceSpec], name: str) -> ServiceSpec:
    """A service of a stack by its name. Raises UsageError naming those there are."""
    if name not in services:
        raise UsageError(f"There is no service {name!r}; there are: {', '.join(services)}.")
    return services[name]


def status(spec: ServiceSpec, url: str, entry: Entry) -> ServiceStatus:
    """One line of `exam status`. `url` is the service's address; one that should answer there and does not, starts."""
    state = STATES.get(entry.statename, "stopped")
    shown = url if spec.ready else ""
    if state == "running" and spec.ready and not answers(url + spec.ready):
        state = "starting"
    detail = entry.description if state == "running" else entry.spawnerr or entry.description
    return ServiceStatus(name=spec.name, state=state, url=shown, pid=entry.pid or None, detail=detail)


def not_ready(stack: str, service: str, what: str, log: str) -> NotReady:
    """The error of a service that did not come up, with the end of its log."""
    end = log.strip() or "(no log)"
    return NotReady(stack, f"{service} {what}. The end of its log:\n{end}", f"Run `exam logs {service}`.")
