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

from harness.errors import EnvironmentFault, NotReady
from harness.model import Record, ServiceSpec
from harness.runtime.inside import places
from harness.runtime.programs import Places
from harness.scenario import ScenarioSpec
from harness.text import plain
from harness.waiting import DeadlinePassed, until

NAME = "rehearsal"
BOOT_SECONDS = 240.0
"""As long as a grading waits on a machine where the reference takes 60 s: a busy machine is not the candidate's."""
FREE_SECONDS = 45.0
"""The room ends with each rehearsal and is started anew by the engine, within seconds."""

MAX_ANSWER = 65536
OPEN = {"MLFLOW_SERVER_ALLOWED_HOSTS": "*"}
"""MLflow answers 403 to a host name that it does not know; the room's changes nothing for anybody."""


class Inside(Record):
    """What the room says of itself. It is told nothing but to the room again."""

    free: bool
    workspace: str
    registry: str
    host: str


class Told(Record):
    """What the room says of a boot."""

    boots: bool
    seconds: float
    sentence: str


@dataclass(frozen=True)
class Room:
    """One rehearsal room at `url`."""

    url: str

    @contextmanager
    def booted(self, spec: ScenarioSpec, place: Path, urls: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """Boot `place`/workspace and `place`/registry; yields the addresses of the services that run there.

        What the candidate owns runs in the room, and the registry; the rest of the world is the live attempt's, at
        `urls`. Raises NotReady with the room's sentence when it does not boot, EnvironmentFault when no room answers.
        """
        inside = {service.name: self._url(urls[service.name]) for service in spec.service if self._has(service, urls)}
        archive = place / "room.tar"
        with httpx.Client(trust_env=False, base_url=self.url, timeout=10.0) as client:
            room = self._await_free(client)
            _pack(archive, place, _described(spec, room, {**urls, **inside}, inside))
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

    def _await_free(self, client: httpx.Client) -> Inside:
        def free() -> Inside | None:
            with suppress(httpx.HTTPError, ValidationError):
                room = Inside.model_validate_json(_body(client, "GET", "/health"))
                return room if room.free else None
            return None

        try:
            return until(free, FREE_SECONDS, 0.3)
        except DeadlinePassed as exc:
            raise EnvironmentFault(
                f"The rehearsal room is not free after {FREE_SECONDS:.0f} s.", "Rehearse again."
            ) from exc


def _described(spec: ScenarioSpec, room: Inside, urls: Mapping[str, str], inside: Mapping[str, str]) -> dict[str, Any]:
    there = Places(urls=urls, scenario="", registry=room.registry, private="", clock=places.CLOCK, host=room.host)
    running = [each for each in spec.service if each.graded and (each.name in inside or each.owner == "candidate")]
    return {
        "environment": {name: there.fill(value) for name, value in spec.environment.items()},
        "programs": [_program(service, there, spec, room.workspace) for service in running],
        "ready": {each.name: urls[each.name] + each.ready for each in running if each.ready and each.name in urls},
        "seconds": BOOT_SECONDS,
    }


def _program(service: ServiceSpec, there: Places, spec: ScenarioSpec, workspace: str) -> dict[str, Any]:
    port = urlsplit(there.urls[service.name]).port or 0 if service.name in there.urls else 0
    head, *rest = (there.fill(word, port) for word in service.command)
    ready = {each.name: each.ready for each in spec.service}
    return {
        "name": service.name,
        "command": [f"{workspace}/{head}" if "/" in head and not head.startswith("/") else head, *rest],
        "directory": workspace if service.owner == "candidate" else "/",
        "environment": {**service.env, **OPEN, "PORT": str(port), "HOST": there.host},
        "after": there.urls[service.after] + ready[service.after] if service.after else "",
    }


def _boot(client: httpx.Client, archive: Path) -> Told:
    headers = {"Content-Type": "application/x-tar", "Content-Length": str(archive.stat().st_size)}
    timeout = httpx.Timeout(30.0, read=BOOT_SECONDS + 60.0)
    try:
        with archive.open("rb") as file:
            body = _body(client, "POST", "/boot", content=file, headers=headers, timeout=timeout)
        return Told.model_validate_json(body)
    except (httpx.HTTPError, ValidationError) as exc:
        raise EnvironmentFault(
            f"The rehearsal room does not answer: {type(exc).__name__}.",
            "Rehearse again; if it recurs, something that you start there ends the room.",
        ) from exc


def _body(client: httpx.Client, method: str, path: str, **words: Any) -> bytes:
    """What the room answers, up to MAX_ANSWER bytes. Raises httpx.HTTPError for an answer that is no 200."""
    with client.stream(method, path, **words) as answer:
        answer.raise_for_status()
        body = b""
        for chunk in answer.iter_bytes(MAX_ANSWER):
            body += chunk
            if len(body) > MAX_ANSWER:
                raise httpx.DecodingError("too much")
    return body


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
