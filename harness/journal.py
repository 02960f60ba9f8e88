"""The journal of an attempt: append-only JSON lines, each carrying the digest of the one before."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import ValidationError

from harness.errors import AttemptError
from harness.model import Event

START = "0" * 64
"""What the first event names as the digest before it."""


class Journal:
    """The events of one attempt, in one file. Several processes may append."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, kind: str, data: Mapping[str, Any] | None = None) -> Event:
        """Add an event with the time of day and the digest of its predecessor.

        A line that a crash or a full disk left half written is cut off first.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            events = self.read()
            self._mend()
            previous = events[-1].digest if events else START
            at = datetime.now(UTC).isoformat(timespec="seconds")
            content = {"at": at, "kind": kind, "data": dict(data or {}), "previous": previous}
            event = Event(**content, digest=_digest(content))
            with self.path.open("a", encoding="utf-8") as file:
                file.write(event.model_dump_json() + "\n")
        return event

    def read(self) -> list[Event]:
        """All events in order; empty when there are none. Raises AttemptError where the chain is broken.

        A half-written line at the end is passed over.
        """
        if not self.path.exists():
            return []
        events: list[Event] = []
        *lines, last = self.path.read_bytes().split(b"\n")  # and at nothing else that ends a line: it may be in a name
        if _is_event(last):
            lines.append(last)
        for number, line in enumerate(lines, 1):
            try:
                event = Event.model_validate_json(line)
            except ValidationError as exc:
                raise AttemptError(f"{self.path.name}: line {number} is no event.") from exc
            previous = events[-1].digest if events else START
            if event.previous != previous or event.digest != _digest(event.model_dump(exclude={"digest"})):
                raise AttemptError(f"{self.path.name}: line {number} does not follow from the line before it.")
            events.append(event)
        return events

    def _mend(self) -> None:
        """End the file with a whole line."""
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        _, _, last = content.rpartition(b"\n")
        with self.path.open("r+b") as file:
            if _is_event(last):  # only its end is missing
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
            else:
                file.truncate(len(content) - len(last))


def _is_event(line: bytes) -> bool:
    try:
        Event.model_validate_json(line)
    except ValidationError:
        return False
    return True


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
