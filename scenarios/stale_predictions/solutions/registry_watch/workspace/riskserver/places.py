"""Where things lie, the business date, and alerts."""

import fcntl
import json
import os
import uuid
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FEEDS = ROOT / "feeds"
FEATURES = ROOT / "features"
STATE = ROOT / "state"
SCRATCH = ROOT / "var"
SNAPSHOT = ROOT / "monitoring" / "snapshot.csv"
PROVIDER = os.environ.get("PROVIDER_URL", "")
MODEL = "flight-delay"


def today() -> date:
    """The business date; nothing here asks the system's clock for a day."""
    return date.fromisoformat(Path(os.environ["BUSINESS_DATE_FILE"]).read_text(encoding="utf-8").strip())


def alert(kind: str, subject: str, detail: str, window: str | None = None) -> None:
    """Append one alert in one write."""
    line = {"id": str(uuid.uuid4()), "kind": kind, "subject": subject, "window_id": window, "detail": detail}
    append(STATE / "alerts.jsonl", json.dumps({**line, "date": str(today())}) + "\n")


def append(path: Path, text: str, header: str = "") -> None:
    """Append a text under a lock; a file that is empty gets the header first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(text if file.tell() else header + text)
        file.flush()
