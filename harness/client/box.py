"""The box from inside: its own services and their logs, the variables that the scenario tells, the workspace."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from harness.client.supervisor import Refused, Supervisor
from harness.errors import EnvironmentFault, NotReady, UsageError

SOCKET = "/run/exam/supervisor.sock"
WORKSPACE = "/workspace"
DESCRIPTION = "/clock/stack.json"
HIDDEN = ("jupyter",)
"""Programs that are no services of the attempt."""

STATES = {
    "RUNNING": "running",
    "STARTING": "starting",
    "BACKOFF": "failed",
    "FATAL": "failed",
    "EXITED": "failed",
}
OUTSIDE = "Run it in a terminal of the exam's JupyterLab; if you did, tell whoever holds the exam."
POLL_SECONDS = 0.5
TAIL_BYTES = 2_000_000


class Box:
    """The container that this runs in."""

    def __init__(self) -> None:
        self._supervisor = Supervisor(os.environ.get("EXAM_SUPERVISOR") or SOCKET)
        self.workspace = Path(os.environ.get("EXAM_WORKSPACE") or WORKSPACE)

    def services(self) -> dict[str, dict[str, str]]:
        """Service -> {"state", "word" (supervisord's own), "detail", "log"}.

        Raises EnvironmentFault when the supervisor does not answer.
        """
        try:
            found = self._supervisor.states()
        except (OSError, Refused) as exc:
            raise EnvironmentFault(f"The box's supervisor does not answer: {exc}.", OUTSIDE) from exc
        return {
            entry["name"]: {**entry, "word": entry["state"], "state": STATES.get(entry["state"], "stopped")}
            for entry in found
            if entry["name"] not in HIDDEN
        }

    def need(self, name: str) -> dict[str, str]:
        """One service of the box. Raises UsageError naming those there are."""
        found = self.services()
        if name not in found:
            raise UsageError(f"{name!r} is not one of your services: {', '.join(found)}.", "Run `exam status`.")
        return found[name]

    def restart(self, name: str) -> None:
        """Stop and start a service; not waited for. Raises NotReady when it does not start."""
        self.need(name)
        try:
            self._supervisor.restart(name)
        except (OSError, Refused) as exc:
            raise NotReady("box", f"{name} does not start: {exc}.", f"Run `exam logs {name}`.") from exc

    def variables(self) -> dict[str, str]:
        """What the scenario tells services and jobs. Raises EnvironmentFault where nothing is told."""
        path = Path(os.environ.get("EXAM_DESCRIPTION") or DESCRIPTION)
        try:
            told: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["environment"]
        except (OSError, ValueError, KeyError) as exc:
            raise EnvironmentFault(f"{path} does not say the stack's variables.", OUTSIDE) from exc
        return told

    def put(self, path: str, content: bytes, mode: int) -> None:
        """Write a file of the workspace, whole or not at all, in the place of whatever stands there."""
        target = self.workspace / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        partial.unlink(missing_ok=True)
        partial.write_bytes(content)
        partial.chmod(mode & 0o755)
        partial.replace(target)


def last_lines(log: Path, lines: int) -> list[str]:
    """The last lines of a log; empty where there is none."""
    if not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return list(deque((line.decode("utf-8", "replace") for line in file.read().splitlines()), lines))


def following(log: Path) -> Iterator[str]:
    """Lines as they come, for ever; a log that is begun anew is followed from its beginning."""
    place, rest = (log.stat().st_size if log.is_file() else 0), b""
    while True:
        size = log.stat().st_size if log.is_file() else 0
        if size < place:
            place, rest = 0, b""
        if size > place:
            with log.open("rb") as file:
                file.seek(place)
                rest += file.read(TAIL_BYTES)
                place = file.tell()
            *whole, rest = rest.split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)
        else:
            time.sleep(POLL_SECONDS)
