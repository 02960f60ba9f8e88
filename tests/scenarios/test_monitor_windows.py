"""The monitor's windows and how alerts on them are judged: nothing but its defect tells what kind a window is of."""

from __future__ import annotations

import importlib
import importlib.util
import json
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness import scenario as scenarios

SCENARIO = scenarios.find("broken_pipeline")
SCENARIO.checks()
monitor: Any = importlib.import_module("scenario_base.drills.monitor")  # there once a scenario is loaded
TODAY = date(2024, 7, 10)
INPUTS = (
    "carrier", "origin", "hour", "distance_mi", "temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi",
    "pressure_mb", "carrier_late_rate", "origin_late_rate",
)  # fmt: skip


@pytest.fixture(params=["broken_pipeline", "stale_predictions"])
def windows_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A scenario's windows.py, which its history.py imports as a script does."""
    folder = scenarios.find(request.param).folder
    monkeypatch.syspath_prepend(str(folder.parent / "_base"))
    spec = importlib.util.spec_from_file_location(f"windows_of_{request.param}", folder / "windows.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(windows_of: ModuleType, folder: Path) -> list[tuple[str, pd.DataFrame]]:
    """Kind and rows of each window."""
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({name: rng.uniform(1, 20, 900) for name in INPUTS})
    rows = rows.assign(hour=rng.integers(0, 24, 900), carrier="XA", origin=rng.choice(["EWR", "JFK", "LGA"], 900))
    about = {"inputs": INPUTS, "version": "7", "train_to": "2024-07-02", "today": TODAY, "seed": 3}
    windows_of.write_windows(folder, rows, lambda inputs: np.full(len(inputs), 0.2), about)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return [(entry["kind"], pd.read_csv(folder / entry["file"])) for entry in index]


def test_labels_do_not_tell_a_drifted_window_from_a_clean_one(windows_of: ModuleType, tmp_path: Path) -> None:
    labelled: dict[str, list[bool]] = {}
    for kind, rows in made(windows_of, tmp_path):
        share = rows["late"].notna().mean()
        assert share == 0 or 0.7 < share < 0.9
        labelled.setdefault(kind, []).append(share > 0)
    for kind in {"clean", "drift", "nulls"} & set(labelled):
        assert sum(labelled[kind]) == len(labelled[kind]) / 2, kind
    assert all(labelled["quality"]), "wrong answers are known by their labels alone"


def window(kind: str, subject: str | None = None, named: bool = True) -> Any:
    return monitor.Window("w1", "var/windows/w1.csv", kind, subject, b"", kind, named)


def missed(hidden: Any, *alerts: tuple[str, object]) -> bool:
    said = {"w1": [{"kind": kind, "subject": subject, "window_id": "w1"} for kind, subject in alerts]}
    return bool(monitor.missed([hidden], monitor.Watched(0, 1.0, said, ""), hidden.kind))


@pytest.mark.parametrize("kind", ["drift", "nulls"])
def test_an_alert_names_the_column_itself(kind: str) -> None:
    assert not missed(window(kind, "hour"), (kind, "hour"))
    assert missed(window(kind, "hour"), (kind, "temp_f"))
    assert missed(window(kind, "hour"), (kind, "hour, temp_f, wind_mph"))
    assert missed(window(kind, "hour"), (kind, ["hour"]))
    assert missed(window(kind, "hour"), ("model_stale", "hour"))
    assert missed(window(kind, "hour"))


def test_who_names_more_than_three_columns_names_none() -> None:
    drifted = window("drift", "hour")
    assert not missed(drifted, ("drift", "hour"), ("drift", "temp_f"), ("nulls", "visib_mi"), ("quality", "p_late"))
    assert not missed(drifted, ("drift", "hour"), ("nulls", "hour"), ("drift", "temp_f"), ("drift", "visib_mi"))
    assert missed(drifted, *(("drift", name) for name in ("hour", "temp_f", "visib_mi", "wind_mph")))
    assert missed(drifted, ("drift", "hour"), *(("nulls", name) for name in INPUTS))


def test_an_alert_of_a_whole_window_may_have_any_subject() -> None:
    assert not missed(window("model_stale", named=False), ("model_stale", "2"))
    assert missed(window("model_stale", named=False), ("drift", "2"))
