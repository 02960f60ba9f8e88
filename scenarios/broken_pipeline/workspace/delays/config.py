"""Settings from config.toml and the environment, the business date, log lines and alerts."""

import fcntl
import json
import os
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("drift", "nulls", "model_stale", "quality", "source_quarantined", "nightly_failed")


@dataclass(frozen=True)
class Settings:
    """Where things are, and the sections of config.toml."""

    root: Path
    provider_url: str
    business_date_file: Path
    serving: dict[str, Any]
    training: dict[str, Any]
    gate: dict[str, Any]
    corrections: dict[str, Any]
    monitor: dict[str, Any]

    @property
    def feeds(self) -> Path:
        """What the sources delivered; nothing here writes to it."""
        return self.root / "feeds"

    @property
    def table(self) -> Path:
        """The canonical table: one file."""
        return self.root / "table" / "flights.parquet"

    @property
    def quarantine(self) -> Path:
        """What was refused, by source and day."""
        return self.root / "quarantine"

    @property
    def state(self) -> Path:
        """Reports, alerts and the log of answers."""
        return self.root / "state"

    @property
    def scratch(self) -> Path:
        """Fetched models and locks; may be deleted whenever nothing runs."""
        return self.root / "var"


def load(root: Path = ROOT) -> Settings:
    """Read config.toml under `root`; addresses come from PROVIDER_URL and BUSINESS_DATE_FILE."""
    sections = tomllib.loads((root / "config.toml").read_text(encoding="utf-8"))
    return Settings(
        root=root,
        provider_url=os.environ.get("PROVIDER_URL", "http://127.0.0.1:8001"),
        business_date_file=Path(os.environ.get("BUSINESS_DATE_FILE", root / "business_date")),
        **sections,
    )


def business_date(settings: Settings) -> date:
    """The scenario's today, read anew each time."""
    return date.fromisoformat(settings.business_date_file.read_text(encoding="utf-8").strip())


def log(event: str, **fields: Any) -> None:
    """One JSON line on standard output, whole even when several processes share it."""
    print(json.dumps({"event": event, **fields}, default=str) + "\n", end="", flush=True)


def alert(
    settings: Settings,
    kind: str,
    subject: str,
    text: str,
    day: date,
    window_id: str | None = None,
    once: bool = False,
) -> None:
    """Append an alert to state/alerts.jsonl; with `once`, only where that day has none of the same kind and subject.

    Safe for several processes.
    """
    if kind not in KINDS:
        raise ValueError(f"no such kind of alert: {kind}")
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / "alerts.jsonl").open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        said = file.read()
        line = len(said.splitlines()) + 1
        name = f"{day}:{kind}:{subject}" if once else f"{day}:{kind}:{subject}:{line}"
        if once and json.dumps(name).encode() in said:
            return
        known = {"id": name, "kind": kind, "subject": subject, "window_id": window_id}
        os.write(file.fileno(), json.dumps({**known, "business_date": str(day), "text": text}).encode() + b"\n")
    log("alert", kind=kind, subject=subject, text=text, window_id=window_id)


def replace(path: Path, content: bytes) -> None:
    """Write beside the file and move it there, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(content)
    aside.replace(path)
