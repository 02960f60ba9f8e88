"""The load driver: `python -m harness.probes.load_driver FOLDER`, a process of its own since Locust patches sockets.

Reads FOLDER/plan.json (a `Plan`), writes FOLDER/sent.jsonl (a `Sent` a line) and FOLDER/driver.json (a `Driver`).
One Locust user schedules Poisson arrivals from a seed and starts a greenlet for each request, so that a slow answer
holds nothing back; latency counts from the intended send time. Or, to find what a stack can carry at most, it keeps so
many requests under way. It measures; `load` says what was right.
"""

from __future__ import annotations

import locust  # isort: skip  # first: it patches sockets and threads before anything uses them

import gc
import itertools
import json
import logging
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import gevent
import numpy as np
from gevent.event import Event
from geventhttpclient import client as gevent_client
from geventhttpclient.response import HTTPParseError, HTTPResponse, HTTPSocketPoolResponse
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment
from locust.exception import StopUser

from harness.probes.answers import Malformed, Oversized, most_bytes, parse, shown
from harness.probes.load_plan import Driver, Plan, Sent

MAX_HEAD = 16 * 1024
"""Bytes of an answer's status and headers; servers send some two hundred."""

MAX_PIECES = 64
PIECE_BYTES = 512
"""Pieces in which an answer may come, and one more for so many of its bytes. An honest one comes in two or three; each
costs the driver some 30 µs, which would show as send lag."""

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity", "Connection": "close"}


class TooMuch(HTTPParseError):
    """An answer whose head is too long, or that comes in too many pieces."""


class BoundedResponse(HTTPSocketPoolResponse):
    """A response that costs the driver no more than it should: the client has no bounds for heads and pieces."""

    _pieces = 0
    _bytes = 0
    _head = 0

    def feed(self, data: str | bytes) -> None:
        """Take what was received. Raises TooMuch beyond the bounds."""
        self._pieces += 1
        self._bytes += len(data)
        if not self.headers_complete or self.get_code() < 200:  # interim answers come before the head, without end
            self._head += len(data)
        if self._head > MAX_HEAD:
            raise TooMuch(f"a head of more than {MAX_HEAD} bytes")
        if self._pieces > MAX_PIECES + self._bytes / PIECE_BYTES:
            raise TooMuch(f"{self._bytes} bytes in {self._pieces} pieces")
        super().feed(data)

    def should_close(self) -> bool:
        """Always: a server that was asked to close may do so without saying it, and the next request would fail."""
        return True

    def _on_message_complete(self) -> None:
        if self.get_code() < 200:  # the client would let go of a connection that the answer is yet to come on
            HTTPResponse._on_message_complete(self)
        else:
            super()._on_message_complete()


# The client takes no class of responses as an argument.
gevent_client.HTTPSocketPoolResponse = BoundedResponse  # type: ignore[attr-defined]


class Arrivals(FastHttpUser):  # type: ignore[misc]  # locust has no types
    """One user that sends the whole plan. (Its method must not be called `run`: that is the greenlet's.)"""

    host = "http://unused"
    concurrency = 100_000
    plan: ClassVar[Plan]
    sent: ClassVar[list[Sent]]
    done: ClassVar[Event]

    @locust.task  # type: ignore[untyped-decorator]
    def arrive(self) -> None:
        """Send everything of the plan, wait for the answers, and stop."""
        self._prepare()
        greenlets = self._closed() if self.plan.under_way else [self._spawn_at(*pair) for pair in self._schedule()]
        sending = self.plan.seconds if self.plan.under_way else 0.0
        gevent.joinall(greenlets, timeout=sending + self.plan.timeout_s + 1)
        self.done.set()
        raise StopUser

    def _prepare(self) -> None:
        # A stack must neither send us elsewhere nor have cookies kept, or read: that takes milliseconds an answer.
        self.client.client.redirect_response_codes = frozenset()
        self.client.client.cookiejar = None
        self._bodies = [body.encode() for body in self.plan.bodies]
        self._row_ids = [[str(row["row_id"]) for row in json.loads(body)["rows"]] for body in self.plan.bodies]
        self._start = time.monotonic() + 0.2

    def _schedule(self) -> list[tuple[float, int, str]]:
        """(intended seconds from the start, pair, stack), in order of time.

        The second of a pair follows half a mean gap after the first, in random order: sent at the very same moment,
        the two would always compete for one core.
        """
        rng = np.random.default_rng(self.plan.seed)
        names = list(self.plan.urls)
        times: list[tuple[float, int, str]] = []
        begin, pair = 0.0, 0
        for rate, seconds in self.plan.stages:
            at = begin + rng.exponential(1 / rate)
            while at < begin + seconds:
                for place, index in enumerate(rng.permutation(len(names))):
                    times.append((at + place * 0.5 / rate, pair, names[index]))
                at += rng.exponential(1 / rate)
                pair += 1
            begin += seconds
        return sorted(times)

    def _spawn_at(self, at: float, pair: int, stack: str) -> gevent.Greenlet:
        gevent.sleep(max(0.0, self._start + at - time.monotonic()))
        return gevent.spawn(self._one, at, pair, stack)

    def _closed(self) -> list[gevent.Greenlet]:
        return [
            gevent.spawn(self._one_by_one, stack, pairs)
            for stack in self.plan.urls
            for pairs in [itertools.count()]
            for _ in range(self.plan.under_way)
        ]

    def _one_by_one(self, stack: str, pairs: Iterator[int]) -> None:
        """The next request as soon as the last one is answered."""
        gevent.sleep(max(0.0, self._start - time.monotonic()))
        while (at := time.monotonic() - self._start) < self.plan.seconds and (pair := next(pairs)) < len(self._bodies):
            self._one(at, pair, stack)

    def _one(self, at: float, pair: int, stack: str) -> None:
        intended = self._start + at
        lag = time.monotonic() - intended
        outcome, risks, text = "timeout", None, f"no answer within {self.plan.timeout_s:g} s"
        try:
            with gevent.Timeout(max(0.001, self.plan.timeout_s - lag), False):
                outcome, risks, text = self._exchange(pair, stack)
        except Exception as exc:  # noqa: BLE001 - whatever an answer does to the client, its request counts
            outcome, risks, text = "failed", None, _said("the answer broke off", exc)
        elapsed = time.monotonic() - intended
        self.sent.append(
            Sent(
                pair=pair,
                stack=stack,
                intended=at,
                lag_ms=lag * 1e3,
                latency_ms=elapsed * 1e3,
                outcome=outcome,
                risks=risks,
                text=text,
            )
        )

    def _exchange(self, pair: int, stack: str) -> tuple[str, list[float] | None, str]:
        index = pair % len(self._bodies)
        response = self.client.post(
            self.plan.urls[stack], data=self._bodies[index], headers=_HEADERS, name=stack, stream=True
        )
        error = getattr(response, "error", None)
        if response.status_code == 0 and error is not None:
            return self._without_answer(getattr(error, "original", error))  # the client catches it, and wraps it
        return _judged(response, self._row_ids[index])

    def _without_answer(self, error: BaseException) -> tuple[str, None, str]:
        if isinstance(error, gevent.Timeout):
            return "timeout", None, f"no answer within {self.plan.timeout_s:g} s"
        if isinstance(error, TooMuch):
            return "oversized", None, f"answered {error}"
        return "failed", None, _said("no answer", error)


def _said(what: str, error: BaseException) -> str:
    return f"{what}: {type(error).__name__} {shown(str(error).encode(errors='replace'))}"


def _judged(response: Any, row_ids: list[str]) -> tuple[str, list[float] | None, str]:
    try:
        body = _read(response, most_bytes(len(row_ids)))
        if response.status_code != 200:
            return "failed", None, f"status {response.status_code}: {shown(body)}"
        return "ok", [answer.p_late for answer in parse(body, row_ids)], ""
    except TooMuch as exc:
        return "oversized", None, f"answered {exc}"
    except Oversized as exc:
        return "oversized", None, str(exc)
    except Malformed as exc:
        return "wrong", None, str(exc)


def _read(response: Any, most: int) -> bytes:
    """A body, up to one more than `most` bytes: then it is too large."""
    body = bytearray()
    while chunk := response.read(most + 1 - len(body)):
        body += chunk
    response.release()
    return bytes(body)


def _drive(plan: Plan) -> tuple[list[Sent], Driver]:
    Arrivals.plan, Arrivals.sent, Arrivals.done = plan, [], Event()
    environment = Environment(user_classes=[Arrivals])
    runner = environment.create_local_runner()
    wall, cpu = time.monotonic(), time.process_time()
    runner.start(1, spawn_rate=1)
    finished = Arrivals.done.wait(timeout=plan.longest_s)
    driver = Driver(finished=bool(finished), cpu_share=(time.process_time() - cpu) / max(time.monotonic() - wall, 1e-9))
    runner.quit()
    return list(Arrivals.sent), driver


def main(folder: Path) -> None:
    """Run the plan of a folder."""
    logging.disable(logging.WARNING)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    plan = Plan.model_validate_json((folder / "plan.json").read_bytes())
    gc.freeze()
    gc.disable()  # a collection would show as send lag; a window is short
    sent, driver = _drive(plan)
    with (folder / "sent.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(each.model_dump_json() + "\n" for each in sent)
    (folder / "driver.json").write_text(driver.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
