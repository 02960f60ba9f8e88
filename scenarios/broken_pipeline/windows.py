"""Which defects the monitor's windows have: those of the grader, and a few of the story. Used by history.py only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import defects
import numpy as np
import pandas as pd
from defects import STALE_VERSION, Change, Defect, Maker, Risk, at, some

MISSING = float("nan")


def _times(column: str, factor: float) -> Change:
    return lambda rows, _: (rows[column] * factor).round(4)


DRIFTS: tuple[Defect, ...] = (
    ("temp_f", "celsius at LGA", at("LGA", "temp_f", lambda x: ((x - 32) / 1.8).round(1))),
    ("humid_pct", "0 for 40 %", some("humid_pct", 0.4, 0.0)),
    ("hour", "five hours later", lambda rows, _: (rows["hour"] + 5) % 24),
    ("wind_mph", "metres per second at JFK", at("JFK", "wind_mph", lambda x: (x * 0.447).round(2))),
    ("distance_mi", "kilometres", _times("distance_mi", 1.609)),
    ("visib_mi", "kilometres", _times("visib_mi", 1.609)),
    ("pressure_mb", "inches of mercury", _times("pressure_mb", 0.02953)),
    ("carrier", "an unknown code, 40 %", some("carrier", 0.4, "??")),
    ("carrier_late_rate", "percent", _times("carrier_late_rate", 100.0)),
    ("origin_late_rate", "percent", _times("origin_late_rate", 100.0)),
)
"""None of them is missing more often than in the snapshot."""

NULLS: tuple[Defect, ...] = (
    ("temp_f", "missing, 40 %", some("temp_f", 0.4, MISSING)),
    ("humid_pct", "missing at EWR", at("EWR", "humid_pct", lambda x: x * MISSING)),
    ("wind_mph", "missing, 60 %", some("wind_mph", 0.6, MISSING)),
    ("visib_mi", "missing, all", some("visib_mi", 1.1, MISSING)),
    ("distance_mi", "missing, 30 %", some("distance_mi", 0.3, MISSING)),
    ("pressure_mb", "missing, 70 %", some("pressure_mb", 0.7, MISSING)),
)
"""The snapshot lacks 12 % of pressure and at most 3 % of the others."""


def write_windows(folder: Path, rows: pd.DataFrame, risk: Risk, about: Mapping[str, Any]) -> None:
    """Write the windows and index.json; `about` has inputs, version, train_to, today and seed."""
    maker = _maker(rows, risk, about, 0)
    made = defects.clean(maker)
    made += defects.each_changed(maker, "drift", DRIFTS) + defects.each_changed(maker, "nulls", NULLS)
    defects.write_windows(folder, [*made, *defects.model_stale(maker), *defects.quality(maker)])


def write_prepared(folder: Path, rows: pd.DataFrame, risk: Risk, about: Mapping[str, Any]) -> None:
    """Write a few windows as the story's own people have them, and index.json with what they are and what is due."""
    maker = _maker(rows, risk, about, 1)
    celsius, humid = DRIFTS[0], NULLS[1]
    made = [
        ("nothing wrong", "", maker.window(maker.draw())),
        (f"{celsius[0]} in {celsius[1]}", f"drift {celsius[0]}", defects.changed(maker, "drift", celsius)[-1]),
        (f"{humid[0]} {humid[1]}", f"nulls {humid[0]}", defects.changed(maker, "nulls", humid)[-1]),
        ("a model of the spring", f"model_stale {STALE_VERSION}", defects.model_stale(maker)[1][-1]),
    ]
    defects.write(folder, [frame for *_, frame in made], [{"window": what, "due": due} for what, due, _ in made])


def _maker(rows: pd.DataFrame, risk: Risk, about: Mapping[str, Any], number: int) -> Maker:
    rng = np.random.default_rng([about["seed"], number])
    said = {"model_version": about["version"], "model_train_to": about["train_to"]}
    said["business_date"] = str(about["today"])
    return Maker(rows, about["inputs"], risk, said, about["today"], rng)
