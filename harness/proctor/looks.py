"""A stack that is only looked at: its services over HTTP, its workspace as a copy of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NoReturn

import httpx

from harness.errors import StackError
from harness.model import JobResult, ServiceSpec
from harness.runtime.base import ServiceStatus

LOOK_SECONDS = 2.0
"""For the whole of a look: a service that sends a byte a second would hold a look by single reads for hours."""


class LookedAt:
    """Implements `Stack` for public checks and for looks whether faults are in place; whatever would act raises.

    `copy` holds the workspace's files without links (see `snapshot`), so that reading them leads nowhere else.
    """

    def __init__(self, name: str, urls: Mapping[str, str], copy: Path) -> None:
        self.name = name
        self.copy = copy
        self._urls = urls

    def endpoint(self, service: str) -> str:
        """See `Stack.endpoint`."""
        return self._urls[service]

    def read(self, path: str) -> bytes | None:
        """See `Stack.read`."""
        target = self.copy / path
        return target.read_bytes() if ".." not in Path(path).parts and target.is_file() else None

    def listing(self, path: str) -> tuple[str, ...]:
        """See `Stack.listing`."""
        found = (self.copy / path).rglob("*") if ".." not in Path(path).parts else ()
        return tuple(sorted(file.relative_to(self.copy).as_posix() for file in found if file.is_file()))

    def logs(self, service: str, lines: int = 200) -> str:
        """Nothing: logs stay in the box."""
        return ""

    def restart(self, service: str) -> float:
        """Raises StackError."""
        self._acts("restart a service")

    def run_job(self, job: str, args: Sequence[str], deadline_s: float) -> JobResult:
        """Raises StackError."""
        self._acts("run a job")

    def advance_day(self, to: date, files: Mapping[str, bytes]) -> None:
        """Raises StackError."""
        self._acts("move the business date")

    def write(self, path: str, content: bytes) -> None:
        """Raises StackError."""
        self._acts("write a file")

    def remove(self, path: str) -> None:
        """Raises StackError."""
        self._acts("remove a file")

    def _acts(self, what: str) -> NoReturn:
        raise StackError(self.name, f"The proctor only looks; it does not {what}.")


def service_status(spec: ServiceSpec, url: str) -> ServiceStatus:
    """A service as one request sees it: running where it says that it is ready; without such a path, running."""
    if not spec.ready:
        return ServiceStatus(name=spec.name, state="running", url="")
    try:
        state = "running" if asyncio.run(_status(url + spec.ready)) == 200 else "starting"
    except (httpx.HTTPError, TimeoutError):
        state = "stopped"
    return ServiceStatus(name=spec.name, state=state, url=url)


async def _status(url: str) -> int:
    """What an address answers. Not to be called inside a running event loop; raises TimeoutError after LOOK_SECONDS."""
    # verify=False spares reading the certificates for each look; services speak plain HTTP.
    client = httpx.AsyncClient(trust_env=False, verify=False, timeout=None)
    async with asyncio.timeout(LOOK_SECONDS), client, client.stream("GET", url) as got:
        return got.status_code
