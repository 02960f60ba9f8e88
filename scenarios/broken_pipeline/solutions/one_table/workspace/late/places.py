"""Where things lie, and how they are written: whole files at once, lines under a lock."""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FEEDS = ROOT / "feeds"
TABLE = ROOT / "table"
QUARANTINE = ROOT / "quarantine"
STATE = ROOT / "state"
VAR = ROOT / "var"
SNAPSHOT = ROOT / "monitoring" / "snapshot.csv"

MODEL = "flight-delay"
SOURCES = ("EWR", "JFK", "LGA")
WEATHER = ("temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb")
TEXTS = ("carrier", "origin")
NUMBERS = ("hour", "distance_mi", *WEATHER, "carrier_late_rate", "origin_late_rate")
INPUTS = (*TEXTS, *NUMBERS)
LATE_MIN = 60
DAY = timedelta(days=1)


def business_date() -> date:
    """Today, as the scenario says. Raises OSError and ValueError."""
    return date.fromisoformat(Path(os.environ["BUSINESS_DATE_FILE"]).read_text().strip())


def say(event: str, **more: Any) -> None:
    """A line of the log."""
    print(json.dumps({"event": event, **more}, default=str), flush=True)


def alert(kind: str, subject: str, why: str, window: str | None = None) -> None:
    """One more line of alerts."""
    said = {"id": f"{kind}-{uuid.uuid4().hex[:12]}", "kind": kind, "subject": subject, "window_id": window, "why": why}
    append(STATE / "alerts.jsonl", json.dumps(said) + "\n")


def append(path: Path, text: str, header: str = "") -> None:
    """Append whole lines; the first ones bring the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(((header if file.tell() == 0 else "") + text).encode())


def put(path: Path, content: bytes) -> None:
    """Write a file whole; readers see the old one or the new one. A file that is already so is left alone."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(content)
    aside.replace(path)


def put_json(path: Path, content: Any) -> None:
    """Write JSON for people."""
    put(path, (json.dumps(content, indent=2) + "\n").encode())


@contextmanager
def only_one(name: str) -> Iterator[bool]:
    """Hold a lock against other processes; yields whether it was free."""
    VAR.mkdir(exist_ok=True)
    with (VAR / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
