"""The workspace's own modules, an empty workspace for them, and a drawn world with its table."""

from __future__ import annotations

import importlib
import random
import shutil
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from broken_workspace_parts import (
    SCENARIO,
    WORKSPACE,
)

MODULES = (
    "config", "deliveries", "contract", "ingest", "features", "training", "gate", "registry", "answers", "nightly",
    "monitor",
)  # fmt: skip


@pytest.fixture(scope="module")
def delays() -> Iterator[SimpleNamespace]:
    """The modules of the workspace's package, and no others of that name."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "delays"}
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(WORKSPACE))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(f"delays.{name}") for name in MODULES})
    finally:
        sys.path.remove(str(WORKSPACE))
        for name in [name for name in sys.modules if name.split(".")[0] == "delays"]:
            del sys.modules[name]
        sys.modules.update(before)


@pytest.fixture
def settings(delays: SimpleNamespace, tmp_path: Path) -> Any:
    """Settings for an empty workspace."""
    shutil.copyfile(WORKSPACE / "config.toml", tmp_path / "config.toml")
    return delays.config.load(tmp_path)


@pytest.fixture(scope="module")
def story() -> SimpleNamespace:
    """A drawn world: its values, what really happened, and the business date."""
    values = SCENARIO.story().values(random.Random("workspace"))
    world = SCENARIO.module("world").read(values)
    return SimpleNamespace(values=values, world=world, today=date.fromisoformat(values["business_date"]))


@pytest.fixture(scope="module")
def table(delays: SimpleNamespace, story: SimpleNamespace) -> pd.DataFrame:
    """The canonical table as it should be for D-81 to D-1."""
    part = story.world.between(story.today - timedelta(days=81), story.today - timedelta(days=1))
    flown = part.flights.assign(hour=part.flights["sched_dep"].str[11:13].astype(int))
    rows = flown.merge(part.weather.astype({"hour": int}), how="left", on=["date", "origin", "hour"])
    types = delays.ingest.TYPES
    return rows[list(types)].astype(types).sort_values(delays.ingest.KEY, ignore_index=True)
