"""Settings from config.toml and the environment, the business date, and the log line."""

import json
import os
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Where things are, and the sections of config.toml."""

    root: Path
    provider_url: str
    business_date_file: Path
    serving: dict[str, Any]
    weather: dict[str, Any]
    training: dict[str, Any]
    gate: dict[str, Any]
    monitor: dict[str, Any]

    @property
    def state(self) -> Path:
        """Reports, alerts and the log of predictions."""
        return self.root / "state"

    @property
    def scratch(self) -> Path:
        """Caches and locks; may be deleted whenever nothing runs."""
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
