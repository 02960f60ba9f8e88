"""The monitor's windows: 500 answers each, clean ones and ones with a known defect. Used by history.py only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = 500
CLEAN = 10
UNKNOWN_SHARE = 0.2
"""Share of a clean window's answers whose flight has not arrived yet."""

STALE_VERSION = "2"

Risk = Callable[[pd.DataFrame], Any]
Change = Callable[[pd.DataFrame, np.random.Generator], pd.Series]


def _at(airport: str, column: str, change: Callable[[pd.Series], pd.Series]) -> Change:
    def changed(rows: pd.DataFrame, _: np.random.Generator) -> pd.Series:
        return rows[column].where(rows["origin"] != airport, change(rows[column]))

    return changed


def _some(column: str, share: float, value: float | str) -> Change:
    def changed(rows: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
        return rows[column].mask(rng.random(len(rows)) < share, value)

    return changed


def _times(column: str, factor: float) -> Change:
    return lambda rows, _: (rows[column] * factor).round(4)


MISSING = float("nan")

DRIFTS: tuple[tuple[str, str, Change], ...] = (
    ("temp_f", "celsius at LGA", _at("LGA", "temp_f", lambda x: ((x - 32) / 1.8).round(1))),
    ("humid_pct", "0 for 40 %", _some("humid_pct", 0.4, 0.0)),
    ("hour", "five hours later", lambda rows, _: (rows["hour"] + 5) % 24),
    ("wind_mph", "metres per second at JFK", _at("JFK", "wind_mph", lambda x: (x * 0.447).round(2))),
    ("distance_mi", "kilometres", _times("distance_mi", 1.609)),
    ("visib_mi", "kilometres", _times("visib_mi", 1.609)),
    ("pressure_mb", "inches of mercury", _times("pressure_mb", 0.02953)),
    ("carrier", "an unknown code, 40 %", _some("carrier", 0.4, "??")),
    ("carrier_late_rate", "percent", _times("carrier_late_rate", 100.0)),
    ("origin_late_rate", "percent", _times("origin_late_rate", 100.0)),
)
"""Column, what was done to it, how. None of them is missing more often than in the snapshot."""

NULLS: tuple[tuple[str, str, Change], ...] = (
    ("temp_f", "missing, 40 %", _some("temp_f", 0.4, MISSING)),
    ("humid_pct", "missing at EWR", _at("EWR", "humid_pct", lambda x: x * MISSING)),
    ("wind_mph", "missing, 60 %", _some("wind_mph", 0.6, MISSING)),
    ("visib_mi", "missing, all", _some("visib_mi", 1.1, MISSING)),
    ("distance_mi", "missing, 30 %", _some("distance_mi", 0.3, MISSING)),
    ("pressure_mb", "missing, 70 %", _some("pressure_mb", 0.7, MISSING)),
)
"""Column, where it is missing, how; the snapshot lacks 12 % of pressure and at most 3 % of the others."""


@dataclass(frozen=True)
class Maker:
    """Draws windows from rows of the snapshot's days; p_late is the model's."""

    rows: pd.DataFrame
    inputs: list[str]
    risk: Risk
    version: str
    train_to: str
    today: date
    rng: np.random.Generator

    def draw(self) -> pd.DataFrame:
        """The inputs of a window."""
        picked = self.rng.choice(len(self.rows), ROWS, replace=False)
        return self.rows.iloc[np.sort(picked)][self.inputs].reset_index(drop=True)

    def window(self, inputs: pd.DataFrame, late: bool = True, **changes: Any) -> pd.DataFrame:
        """A window by the brief; `late` draws labels from the risk, some unknown; `changes` replace columns."""
        p = np.round(self.risk(inputs), 6)
        labels = pd.array((self.rng.random(ROWS) < p).astype(int), dtype="Int64")
        labels[self.rng.random(ROWS) < (UNKNOWN_SHARE if late else 1.1)] = pd.NA
        frame = inputs.assign(
            p_late=p,
            model_version=self.version,
            model_train_to=self.train_to,
            business_date=str(self.today),
            late=labels,
        )
        return frame.assign(**changes)


def write_windows(folder: Path, rows: pd.DataFrame, risk: Risk, about: Mapping[str, Any]) -> None:
    """Write the windows and index.json; `about` has inputs, version, train_to, today and seed."""
    maker = _maker(rows, risk, about, 0)
    makers = (_clean, _drift, _nulls, _model_stale, _quality)
    made = [each for make in makers for each in make(maker)]
    _write(
        folder,
        [frame for *_, frame in made],
        [{"kind": kind, "subject": subject, "what": what} for kind, subject, what, _ in made],
    )


def write_prepared(folder: Path, rows: pd.DataFrame, risk: Risk, about: Mapping[str, Any]) -> None:
    """Write a few windows as the story's own people have them, and index.json with what they are and what is due."""
    maker = _maker(rows, risk, about, 1)
    celsius, humid = DRIFTS[0], NULLS[1]
    made = [
        ("nothing wrong", "", maker.window(maker.draw())),
        (f"{celsius[0]} in {celsius[1]}", f"drift {celsius[0]}", _changed(maker, "drift", *celsius)[-1]),
        (f"{humid[0]} {humid[1]}", f"nulls {humid[0]}", _changed(maker, "nulls", *humid)[-1]),
        ("a model of the spring", f"model_stale {STALE_VERSION}", _model_stale(maker)[1][-1]),
    ]
    _write(folder, [frame for *_, frame in made], [{"window": what, "due": due} for what, due, _ in made])


def _maker(rows: pd.DataFrame, risk: Risk, about: Mapping[str, Any], number: int) -> Maker:
    rng = np.random.default_rng([about["seed"], number])
    return Maker(rows, about["inputs"], risk, about["version"], about["train_to"], about["today"], rng)


def _write(folder: Path, frames: Sequence[pd.DataFrame], index: Sequence[Mapping[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    named = []
    for number, (frame, entry) in enumerate(zip(frames, index, strict=True)):
        name = f"w{number:02d}"
        frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        named.append({"id": name, "file": f"{name}.csv", **entry})
    (folder / "index.json").write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")


Windows = list[tuple[str, str | None, str, pd.DataFrame]]


def _clean(maker: Maker) -> Windows:
    return [("clean", None, "clean", maker.window(maker.draw())) for _ in range(CLEAN)]


def _drift(maker: Maker) -> Windows:
    return [_changed(maker, "drift", *each) for each in DRIFTS]


def _nulls(maker: Maker) -> Windows:
    return [_changed(maker, "nulls", *each) for each in NULLS]


def _changed(maker: Maker, kind: str, column: str, what: str, change: Change) -> tuple[str, str, str, pd.DataFrame]:
    inputs = maker.draw()
    return kind, column, what, maker.window(inputs.assign(**{column: change(inputs, maker.rng)}), late=False)


def _model_stale(maker: Maker) -> Windows:
    return [
        (
            "model_stale",
            None,
            f"D-{n}",
            maker.window(
                maker.draw(), model_train_to=str(maker.today - timedelta(days=n)), model_version=STALE_VERSION
            ),
        )
        for n in (50, 75, 110)
    ]


def _quality(maker: Maker) -> Windows:
    """Answers that are wrong: a quarter of the risk, one risk for all, the risk of the opposite."""
    wrong: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("a quarter of the risk", lambda p: p / 4),
        ("one risk for all, far too high", lambda p: p * 0 + 0.8),
        ("the opposite", lambda p: 1 - p),
    )
    made: Windows = []
    for what, change in wrong:
        frame = maker.window(maker.draw())
        made.append(("quality", None, what, frame.assign(p_late=change(frame["p_late"]).round(6))))
    return made
