"""What history.py is told, and the code of a night. Used by history.py only."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

TRAIN_DAYS = (67, 8)
"""Days before the business date: what is trained on, first and last."""

PLACES = ("healthy", "root", "workspace", "registry", "private", "story", "provider")

PROVIDER_S = 120.0
"""How long the story waits for an answer of the provider."""


@dataclass(frozen=True)
class Plan:
    """PLAN.json.

    today      business date; the last night is that of the day before
    nights     the first night that is lived through here
    kept       the night before which the state is kept in `story`, for layouts that differ from then on; None: not kept
    resumed    whether the state kept in `story` is where this begins
    monthly    nights of versions that were promoted by hand, before the first night
    codes      [(first night, folder)]: the code from a night on; the first entry's goes back for ever
    healthy    the healthy tree
    root       an empty folder to live in (may hold feeds/ older than the workspace's)
    workspace  its feeds/ are delivered; gets what the nights leave, and monitoring/ where it is new
    registry   gets mlflow.db and artifacts/
    private    gets models/ and windows/ where they are new
    story      holds questions.json, nights.json, weather/, and what is kept
    truth      canonical table as parquet, None where monthly versions, models and windows are there
    provider   script of the provider
    seed       of samples
    cache      folder for the empty migrated database, or None
    """

    today: date
    nights: date
    kept: date | None
    resumed: bool
    monthly: tuple[date, ...]
    codes: tuple[tuple[date, Path], ...]
    healthy: Path
    root: Path
    workspace: Path
    registry: Path
    private: Path
    story: Path
    truth: Path | None
    provider: Path
    seed: int
    cache: Path | None

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read the plan. Raises ValueError, KeyError or OSError where it is not one."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        places = {name: Path(raw[name]) for name in PLACES}
        return cls(
            today=date.fromisoformat(raw["today"]),
            nights=date.fromisoformat(raw["nights"]),
            kept=date.fromisoformat(raw["kept"]) if raw["kept"] else None,
            resumed=raw["resumed"],
            monthly=tuple(map(date.fromisoformat, raw["monthly"])),
            codes=tuple((date.fromisoformat(first), Path(folder)) for first, folder in raw["codes"]),
            truth=Path(raw["truth"]) if raw["truth"] else None,
            seed=raw["seed"],
            cache=Path(raw["cache"]) if raw["cache"] else None,
            **places,
        )

    def day(self, before: int) -> date:
        """The day that many days before the business date."""
        return self.today - timedelta(days=before)

    @property
    def clock(self) -> Path:
        """The business date's file."""
        return self.root / "business_date"


class Code:
    """The package `delays` as it is on a night, imported from the folder that the plan names for it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder: Path | None = None

    def turn(self, night: date) -> None:
        """Use the code of a night; config.toml changes with it."""
        folder = next((place for first, place in reversed(self._plan.codes) if first <= night), self._plan.codes[0][1])
        if folder == self._folder:
            return
        for name in [name for name in sys.modules if name == "delays" or name.startswith("delays.")]:
            del sys.modules[name]
        if self._folder is not None:
            sys.path.remove(str(self._folder))
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        shutil.copyfile(folder / "config.toml", self._plan.root / "config.toml")
        self._folder = folder
        # The service gives up on a slow provider and answers without weather: a busy machine would change the story.
        self.module("features").HTTP.timeout = PROVIDER_S

    def module(self, name: str) -> ModuleType:
        """A module of the package."""
        return importlib.import_module(f"delays.{name}")

    def as_healthy(self, paths: Sequence[str]) -> bool:
        """Whether files of the code are the healthy ones."""
        assert self._folder is not None
        return all((self._folder / path).read_bytes() == (self._plan.healthy / path).read_bytes() for path in paths)

    def settings(self) -> Any:
        """Settings for the folder that the story lives in."""
        return self.module("config").load(self._plan.root)
