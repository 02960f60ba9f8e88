"""The rehearsal room: another container that boots what would be graded (see `harness.runtime.inside.room`).

What runs there is the candidate's, so what it answers is shown to the candidate and believed by nobody.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from harness.errors import NotReady, StackError
from harness.model import Record, ServiceSpec
from harness.runtime.inside import places
from harness.runtime.programs import Places
from harness.scenario import ScenarioSpec
from harness.text import plain
from harness.waiting import DeadlinePassed, until

NAME = "rehearsal"
BOOT_SECONDS = 120.0
FREE_SECONDS = 45.0
"""The room ends with each rehearsal and is started anew by the engine, within seconds."""

MAX_ANSWER = 65536


class Told(Record):
    """What the room says of a boot."""

    boots: bool
    seconds: float
    sentence: str


@dataclass(frozen=True)
class Room:
    """One rehearsal room at `url`; the other places are paths as it sees them."""

    url: str
    workspace: str = places.WORKSPACE
    registry: str = places.REGISTRY
    clock: str = places.CLOCK

    @contextmanager
    def booted(self, spec: ScenarioSpec, place: Path, urls: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """Boot `place`/workspace and `place`/registry; yields the addresses of the services that run there.

        What the candidate owns runs in the room, and the registry; the rest of the world is the live attempt's, at
        `urls`. Raises NotReady with the room's sentence when it does not boot, StackError when no room answers.
        """
        inside = {service.name: self._url(urls[service.name]) for service in spec.service if self._has(service, urls)}
        archive = place / "room.tar"
        _pack(archive, place, self._described(spec, inside, urls))
        with httpx.Client(trust_env=False, base_url=self.url, timeout=10.0) as client:
            self._await_free(client)
            try:
                told = _boot(client, archive)
                archive.unlink()
                if not told.boots:
                    raise NotReady(NAME, plain(told.sentence, 3000), "Look at what it says; then rehearse again.")
                yield inside
            finally:
                with suppress(httpx.HTTPError):
                    client.post("/end")

    def _has(self, service: ServiceSpec, urls: Mapping[str, str]) -> bool:
        registrys = any("{registry}" in word for word in service.command)
        return service.graded and service.name in urls and (service.owner == "candidate" or registrys)

    def _url(self, live: str) -> str:
        host, port = urlsplit(self.url).hostname, urlsplit(live).port
        return f"http://{host}:{port}"

    def _described(self, spec: ScenarioSpec, inside: Mapping[str, str], urls: Mapping[str, str]) -> dict[str, Any]:
        there = Places(
            urls={**urls, **inside},
            scenario="",
            registry=self.registry,
            private="",
            clock=self.clock,
            host="0.0.0.0",
        )
        running = [service for service in spec.service if service.graded and self._runs(service, inside)]
        return {
            "environment": {name: there.fill(value) for name, value in spec.environment.items()},
            "programs": [self._program(service, there, spec) for service in running],
            "ready": {service.name: there.urls[service.name] + service.ready for service in running if service.ready},
            "seconds": BOOT_SECONDS,
        }

    def _runs(self, service: ServiceSpec, inside: Mapping[str, str]) -> bool:
        return service.name in inside or service.owner == "candidate"

    def _program(self, service: ServiceSpec, there: Places, spec: ScenarioSpec) -> dict[str, Any]:
        port = urlsplit(there.urls[service.name]).port if service.name in there.urls else 0
        head, *rest = (there.fill(word, port or 0) for word in service.command)
        command = [f"{self.workspace}/{head}" if "/" in head and not head.startswith("/") else head, *rest]
        ready = {each.name: each.ready for each in spec.service}
        return {
            "name": service.name,
            "command": command,
            "directory": self.workspace if service.owner == "candidate" else "/",
            "environment": {"PORT": str(port or 0), "HOST": there.host, **service.env},
            "after": there.urls[service.after] + ready[service.after] if service.after else "",
        }

    def _await_free(self, client: httpx.Client) -> None:
        def free() -> bool:
            with suppress(httpx.HTTPError, ValueError, AttributeError):
                return bool(client.get("/health").json().get("free"))
            return False

        try:
            until(free, FREE_SECONDS, 0.3)
        except DeadlinePassed as exc:
            raise StackError(NAME, f"The rehearsal room is not free after {FREE_SECONDS:.0f} s.", "Try again.") from exc


def _boot(client: httpx.Client, archive: Path) -> Told:
    timeout = httpx.Timeout(30.0, read=BOOT_SECONDS + 60.0)
    headers = {"Content-Type": "application/x-tar", "Content-Length": str(archive.stat().st_size)}
    try:
        with (
            archive.open("rb") as file,
            client.stream("POST", "/boot", content=file, headers=headers, timeout=timeout) as answer,
        ):
            body = b""
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise StackError(NAME, "The rehearsal room says too much.", "Try again.")
        return Told.model_validate_json(body)
    except (httpx.HTTPError, ValidationError) as exc:
        raise StackError(NAME, f"The rehearsal room does not answer: {type(exc).__name__}.", "Try again.") from exc


def _pack(archive: Path, place: Path, described: Mapping[str, Any]) -> None:
    content = json.dumps(described).encode()
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("stack.json")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        for name in ("workspace", "registry"):
            tar.add(place / name, name, filter=_plain)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info if info.isreg() or info.isdir() else None
