"""The monitor's windows of stale_predictions stand on both sides of what the brief allows."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness import scenario as scenarios

FOLDER = scenarios.find("stale_predictions").folder
TODAY = date(2024, 7, 10)
INPUTS = (
    "carrier", "origin", "hour", "distance_mi", "temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi",
    "pressure_mb", "carrier_late_rate", "origin_late_rate",
)  # fmt: skip

TOLD = """
import datetime, types, history
today = datetime.date(2024, 7, 10)
plan = types.SimpleNamespace(day=lambda before: today - datetime.timedelta(before))
for days in (45, 46):
    history._assert_fresh(plan, str(plan.day(days)))
    print(f"{days} days are told")
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, pd.DataFrame]]:
    """Kind, what it shows and rows of each window."""
    monkeypatch.syspath_prepend(str(FOLDER.parent / "_base"))
    spec = importlib.util.spec_from_file_location("windows_of_stale", FOLDER / "windows.py")
    assert spec is not None
    assert spec.loader is not None
    windows = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(windows)
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({name: rng.uniform(1, 20, 900) for name in INPUTS})
    rows = rows.assign(hour=rng.integers(0, 24, 900), carrier="XA", origin=rng.choice(["EWR", "JFK", "LGA"], 900))
    about = {"version": "7", "train_to": "2024-07-02", "today": TODAY, "seed": 3}
    windows.write_windows(tmp_path, rows, lambda inputs: (inputs["temp_f"] / 40).to_numpy(), about)
    index = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))
    return [(entry["kind"], entry["what"], pd.read_csv(tmp_path / entry["file"])) for entry in index]


def days_before(made: list[tuple[str, str, pd.DataFrame]], kind: str, column: str) -> set[int]:
    texts = [str(rows[column].iloc[0]) for each, _, rows in made if each == kind and rows[column].notna().all()]
    return {(TODAY - date.fromisoformat(text)).days for text in texts}


def test_clean_windows_are_as_old_as_they_may_be_and_stale_ones_a_day_older(
    made: list[tuple[str, str, pd.DataFrame]],
) -> None:
    assert max(days_before(made, "clean", "feature_date")) == 3
    assert min(days_before(made, "features_stale", "feature_date") - {1}) == 4
    assert max(days_before(made, "clean", "model_train_to")) == 45
    assert min(days_before(made, "model_stale", "model_train_to") - {8}) == 46


@pytest.mark.parametrize(("kind", "column"), [("features_stale", "feature_date"), ("model_stale", "model_train_to")])
def test_of_one_stale_window_only_a_part_is_stale(
    made: list[tuple[str, str, pd.DataFrame]], kind: str, column: str
) -> None:
    """Neither its first row nor its last, neither most rows nor the freshest of them say so."""
    parts = [rows[column] for each, what, rows in made if each == kind and what.endswith("40 %")]
    assert len(parts) == 1
    old = parts[0] == parts[0].min()
    assert old.sum() == 200
    assert not old.iloc[0]
    assert not old.iloc[-1]


def test_answers_may_be_wrong_with_the_right_mean(made: list[tuple[str, str, pd.DataFrame]]) -> None:
    rows = next(rows for kind, what, rows in made if (kind, what) == ("quality", "in the opposite order"))
    risk = rows["temp_f"] / 40
    assert rows["p_late"].mean() == pytest.approx(risk.mean(), abs=1e-5)
    assert np.corrcoef(rows["p_late"], risk)[0, 1] < -0.9


@pytest.mark.slow
def test_a_story_whose_healthy_champion_is_stale_itself_is_none() -> None:
    """In a process of its own, as history.py runs: the workspace's modules are on its path."""
    path = (FOLDER.parent / "_base", FOLDER, FOLDER / "workspace")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run([sys.executable, "-c", TOLD], env=environment, capture_output=True, text=True, check=False)
    assert "45 days are told" in done.stdout, done.stderr
    assert "46 days are told" not in done.stdout
    assert "must call it stale" in done.stderr
