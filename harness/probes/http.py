"""Asks a stack's services over HTTP (httpx). Measures, never judges.

Every request has a connection of its own: answers then spread over all workers, no connection kept from before a
restart can fail, and no cookie goes from one stack to the other. Redirects are not followed, proxies of the
environment are ignored, a body is read up to `MAX_BODY`, and the timeout bounds the whole exchange, so that a stack
that sends a byte a second is late like any other. Not to be called inside a running event loop.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from harness.errors import BadAnswer, TooLate
from harness.model import Stack
from harness.probes.answers import MAX_BODY, Answer, Malformed, parse, shown

T = TypeVar("T")

Row = Mapping[str, Any]
"""One row of a question, as BRIEF.md says."""

CONCURRENCY = 8
"""Requests under way at once in `versions_seen`."""


class Wrong(BadAnswer):
    """A 200 whose body is not a right answer (a failed request is a plain BadAnswer)."""


def ask(stack: Stack, rows: Sequence[Row], *, timeout: float = 10.0, service: str = "serving") -> list[Answer]:
    """POST the rows to {service}/predict; returns one answer a row, in order. `timeout` in seconds, for everything.

    Raises BadAnswer when the stack refuses, is late or does not answer, Wrong when a 200 breaks the contract.
    """
    return _run(_ask(stack, rows, timeout, service))


def ask_raw(stack: Stack, rows: Sequence[Any], *, timeout: float = 10.0, service: str = "serving") -> tuple[int, str]:
    """POST rows that may be bad on purpose; returns the status and the body as text (at most 64 kB of it).

    Raises BadAnswer only when nothing, too much or nothing in time came back; any status is an answer.
    """
    status, body = exchange(stack, "POST", f"{stack.endpoint(service)}/predict", content=_body(rows), timeout=timeout)
    return status, body[:65536].decode("utf-8", errors="replace")


def get(stack: Stack, service: str, path: str, *, timeout: float = 10.0) -> tuple[int, str]:
    """GET a path of a service (`/metrics`, `/readyz`); returns status and text. Raises BadAnswer as `ask_raw` does."""
    status, body = exchange(stack, "GET", f"{stack.endpoint(service)}{path}", timeout=timeout)
    return status, body.decode("utf-8", errors="replace")


def versions_seen(stack: Stack, row: Row, n: int = 60, *, timeout: float = 10.0) -> Counter[str]:
    """Ask one row n times, eight at once, on fresh connections; how often each model version answered.

    60 answers see every worker (fresh connections spread over workers 54/46). Raises BadAnswer when
    any of them failed, Wrong when one is not by the contract.
    """
    return _run(_versions_seen(stack, row, n, timeout))


def exchange(
    stack: Stack,
    method: str,
    url: str,
    *,
    content: bytes | None = None,
    params: Mapping[str, str] | None = None,
    timeout: float = 10.0,
) -> tuple[int, bytes]:
    """One request on a connection of its own; returns status and body. Raises BadAnswer naming the stack."""
    return _run(_exchange(stack.name, method, url, content, params, timeout))


@dataclass(frozen=True)
class Trickled:
    """What a trickle of requests met. `first` is the first failure in words, empty where there was none.

    failed  no answer, late, or a status other than 200
    wrong   a 200 whose body breaks the contract or what `expected` says
    """

    sent: int
    failed: int
    wrong: int
    first: str
    versions: Mapping[str, int]


class Trickle:
    """Sends one row at a time at a low rate, on fresh connections, while something else happens.

    with Trickle(stack, rows, rate=10) as trickle:
        ...promote, wait...
    trickle.result  # Trickled

    Rows are taken in turn. `expected(answer)` may say what is wrong with an answer, else None. Sending ends with the
    block, or after `seconds_at_most`. Requests still under way are waited for at the end (at most `timeout` seconds).
    """

    def __init__(
        self,
        stack: Stack,
        rows: Sequence[Row],
        *,
        rate: float = 10.0,
        timeout: float = 10.0,
        seconds_at_most: float = 120.0,
        expected: Callable[[Answer], str | None] | None = None,
    ) -> None:
        self._stack = stack
        self._rows = rows
        self._gap = 1.0 / rate
        self._timeout = timeout
        self._seconds = seconds_at_most
        self._expected = expected
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, name=f"trickle-{stack.name}", daemon=True)
        self._futures: list[Future[str]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def result(self) -> Trickled:
        """What was met; to be read after the block. An exception of our own in a request is raised here."""
        versions: Counter[str] = Counter()
        failed = wrong = 0
        first = ""
        for future in self._futures:
            try:
                versions[future.result()] += 1
            except BadAnswer as exc:
                wrong += isinstance(exc, Wrong)
                failed += not isinstance(exc, Wrong)
                first = first or str(exc)
        return Trickled(len(self._futures), failed, wrong, first, dict(versions))

    def _send(self) -> None:
        # A stack that hangs holds rate x timeout requests at once; the pool must not hold back the next ones.
        with ThreadPoolExecutor(max_workers=int(self._timeout / self._gap) + 8) as pool:
            start = time.monotonic()
            count = 0
            while not self._stop.wait(max(0.0, start + count * self._gap - time.monotonic())):
                if time.monotonic() - start > self._seconds:
                    break
                self._futures.append(pool.submit(self._one, self._rows[count % len(self._rows)]))
                count += 1

    def _one(self, row: Row) -> str:
        answer = ask(self._stack, [row], timeout=self._timeout)[0]
        complaint = self._expected(answer) if self._expected else None
        if complaint:
            raise Wrong(self._stack.name, complaint)
        return answer.model.version


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def _body(rows: Sequence[Any]) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


async def _ask(stack: Stack, rows: Sequence[Row], timeout: float, service: str) -> list[Answer]:
    url = f"{stack.endpoint(service)}/predict"
    status, body = await _exchange(stack.name, "POST", url, _body(rows), None, timeout)
    if status != httpx.codes.OK:
        raise BadAnswer(stack.name, f"/predict answered {status}: {shown(body)}")
    try:
        return parse(body, [str(row["row_id"]) for row in rows])
    except Malformed as exc:
        raise Wrong(stack.name, f"/predict {exc}.") from None


async def _versions_seen(stack: Stack, row: Row, n: int, timeout: float) -> Counter[str]:
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one() -> str:
        async with gate:
            return (await _ask(stack, [row], timeout, "serving"))[0].model.version

    return Counter(await asyncio.gather(*(one() for _ in range(n))))


async def _exchange(
    name: str, method: str, url: str, content: bytes | None, params: Mapping[str, str] | None, timeout: float
) -> tuple[int, bytes]:
    path = httpx.URL(url).path
    try:
        async with asyncio.timeout(timeout):
            return await _request(name, method, url, content, params)
    except TimeoutError:
        raise TooLate(name, f"{path} did not answer within {timeout:g} s.") from None
    except httpx.HTTPError as exc:
        raise BadAnswer(name, f"{path} gave no answer: {type(exc).__name__} {str(exc)[:120]}".rstrip() + ".") from exc


async def _request(
    name: str, method: str, url: str, content: bytes | None, params: Mapping[str, str] | None
) -> tuple[int, bytes]:
    # identity: a compressed body could grow without bound when it is unpacked.
    headers = {"Accept-Encoding": "identity", "Connection": "close"}
    if content is not None and method != "PUT":  # a file is put, anything else is JSON
        headers["Content-Type"] = "application/json"
    # verify=False spares reading the certificates for each request; the stacks speak plain HTTP.
    async with (
        httpx.AsyncClient(trust_env=False, verify=False, timeout=None) as client,
        client.stream(method, url, content=content, params=params, headers=headers) as response,
    ):
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BODY:
                raise BadAnswer(name, f"{httpx.URL(url).path} answered with more than {MAX_BODY} bytes.")
        return response.status_code, bytes(body)
