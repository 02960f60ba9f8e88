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
    """Where things are, and the sections of config.toml.

    table    the canonical table: one file
    state    reports, alerts and the log of answers
    scratch  fetched models and locks; may be deleted whenever nothing runs
    """

    root: Path
    table: Path
    state: Path
    scratch: Path
    provider_url: str
    business_date_file: Path
    serving: dict[str, Any]
    training: dict[str, Any]
    gate: dict[str, Any]
    monitor: dict[str, Any]


def load(root: Path = ROOT) -> Settings:
    """Read config.toml under `root`; addresses come from PROVIDER_URL and BUSINESS_DATE_FILE."""
    sections = tomllib.loads((root / "config.toml").read_text(encoding="utf-8"))
    places = {"table": root / "table" / "flights.parquet", "state": root / "state", "scratch": root / "var"}
    clock = Path(os.environ.get("BUSINESS_DATE_FILE", root / "business_date"))
    provider = os.environ.get("PROVIDER_URL", "http://127.0.0.1:8001")
    return Settings(root=root, provider_url=provider, business_date_file=clock, **places, **sections)


def business_date(settings: Settings) -> date:
    """The scenario's today, read anew each time."""
    return date.fromisoformat(settings.business_date_file.read_text(encoding="utf-8").strip())


def log(event: str, **fields: Any) -> None:
    """One JSON line on standard output, whole even when several processes share it."""
    print(json.dumps({"event": event, **fields}, default=str) + "\n", end="", flush=True)


def alert(
    settings: Settings, kind: str, subject: str, text: str, day: date, window_id: str | None = None, once: bool = False
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
        name = f"{day}:{kind}:{subject}" if once else f"{day}:{kind}:{subject}:{len(said.splitlines()) + 1}"
        if once and f'"id": "{name}"'.encode() in said:
            return
        known = {"id": name, "kind": kind, "subject": subject, "window_id": window_id}
        os.write(file.fileno(), json.dumps({**known, "business_date": str(day), "text": text}).encode() + b"\n")
    log("alert", kind=kind, subject=subject, text=text, window_id=window_id)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON beside the file and move it there, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)
