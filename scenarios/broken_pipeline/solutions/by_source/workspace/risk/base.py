"""What all parts share: places, the clock, names of the contract, alerts, and safe ways to write."""

import fcntl
import json
import os
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / "state"
NAME = "flight-delay"
SOURCES = ("EWR", "JFK", "LGA")
KEY = ["date", "carrier", "flight", "origin"]
MINUTES = ["dep_delay_min", "air_time_min", "arr_delay_min"]
WEATHER = ["temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb"]
CODES = ["carrier", "origin"]
NUMBERS = ["hour", "distance_mi", *WEATHER, "carrier_late_rate", "origin_late_rate"]
INPUTS = [*CODES, *NUMBERS]


def today() -> date:
    """The business date."""
    return date.fromisoformat(Path(os.environ["BUSINESS_DATE_FILE"]).read_text(encoding="utf-8").strip())


def days(first: date, last: date) -> list[date]:
    """Both ends included."""
    return [first + timedelta(n) for n in range((last - first).days + 1)]


def tell(**event: Any) -> None:
    """One line for the log."""
    print(json.dumps(event, default=str), flush=True)


def alert(kind: str, subject: str, text: str, window: str | None = None) -> None:
    """One line of state/alerts.jsonl."""
    line = {"id": str(uuid4()), "kind": kind, "subject": subject, "window_id": window, "text": text}
    append(STATE / "alerts.jsonl", json.dumps(line) + "\n")


def append(path: Path, lines: str, header: str = "") -> None:
    """Whole lines at the end of a file, whoever else writes there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0, os.SEEK_END)
        file.write((header if file.tell() == 0 else "") + lines)
        file.flush()


def write(path: Path, content: bytes | str) -> None:
    """Replace a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    aside.write_bytes(content if isinstance(content, bytes) else content.encode())
    aside.rename(path)


def read_json(path: Path) -> dict[str, Any]:
    """An object, an empty one where there is none to read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def digest(*parts: bytes) -> str:
    """sha256 over several parts."""
    whole = sha256()
    for part in parts:
        whole.update(sha256(part).digest())
    return whole.hexdigest()
