"""Which defects the monitor's windows have. Used by history.py only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import defects
import numpy as np
import pandas as pd
from defects import Defect, Maker, Risk, Window, at, some

MISSING = float("nan")
OLDEST_FEATURES, OLDEST_MODEL = 3, 45
"""Days before the business date: what the brief allows for features, and for the end of a model's training."""

PART = slice(150, 350)
"""Rows of a window whose answers are stale where only a part is: what one of two or three workers answers."""

DRIFTS: tuple[Defect, ...] = (
    ("temp_f", "celsius at LGA", at("LGA", "temp_f", lambda x: ((x - 32) / 1.8).round(1))),
    ("humid_pct", "0 instead of missing, 40 %", some("humid_pct", 0.4, 0.0)),
    ("hour", "five hours later", lambda rows, _: (rows["hour"] + 5) % 24),
    ("wind_mph", "metres per second at JFK", at("JFK", "wind_mph", lambda x: (x * 0.447).round(2))),
    ("distance_mi", "kilometres", lambda rows, _: (rows["distance_mi"] * 1.609).round(1)),
    ("pressure_mb", "missing, 40 %", some("pressure_mb", 0.4, MISSING)),
    ("visib_mi", "missing, all", some("visib_mi", 1.1, MISSING)),
    ("origin", "JFK, 70 %", some("origin", 0.7, "JFK")),
    ("carrier", "an unknown code, 40 %", some("carrier", 0.4, "??")),
    ("carrier_late_rate", "percent", lambda rows, _: rows["carrier_late_rate"] * 100),
)
"""Each is far outside what clean windows show (NOTES.md has the figures)."""


def write_windows(folder: Path, rows: pd.DataFrame, risk: Risk, about: Mapping[str, Any]) -> None:
    """Write the windows and index.json; `about` has version, train_to, today and seed."""
    inputs = [name for name in rows.columns if name not in ("late", "date")]
    said = {"model_version": about["version"], "model_train_to": about["train_to"]}
    said |= {"feature_date": str(about["today"] - timedelta(days=1)), "business_date": str(about["today"])}
    maker = Maker(rows, inputs, risk, said, about["today"], np.random.default_rng(about["seed"]))
    made = _as_old_as_may_be(defects.clean(maker), maker) + defects.each_changed(maker, "drift", DRIFTS)
    made += [*_features_stale(maker), *_model_stale(maker), _model_just_stale(maker)]
    defects.write_windows(folder, [*made, *defects.quality(maker), _reordered(maker)])


def _as_old_as_may_be(clean: list[Window], maker: Maker) -> list[Window]:
    """Of every third clean window features and model are as old as they may be, and not a day older."""
    oldest = {"feature_date": maker.day(OLDEST_FEATURES), "model_train_to": maker.day(OLDEST_MODEL)}
    return [(*said, frame.assign(**oldest) if n % 3 == 1 else frame) for n, (*said, frame) in enumerate(clean)]


def _reordered(maker: Maker) -> Window:
    """The same risks, but the highest where the lowest belongs: their mean is right, and so is every share of them."""
    frame = maker.window(maker.draw())
    rank = frame["p_late"].rank(method="first").astype(int)
    turned = frame["p_late"].sort_values(ascending=False).to_numpy()[rank - 1]
    return "quality", None, "in the opposite order", frame.assign(p_late=turned)


def _model_just_stale(maker: Maker) -> Window:
    """A model that is a day older than it may be; everything else is as in a clean window."""
    said = {"model_train_to": maker.day(OLDEST_MODEL + 1)}
    return "model_stale", None, f"D-{OLDEST_MODEL + 1}", maker.window(maker.draw(), **said)


def _model_stale(maker: Maker) -> list[Window]:
    """Answers of an old model; in one window only a part of them is."""
    whole, partly, *others = defects.model_stale(maker)
    return [whole, _in_part(partly, maker), *others]


def _in_part(window: Window, maker: Maker) -> Window:
    """What is said of a window's answers holds of a part of them; of the others what holds in a clean window."""
    kind, subject, what, frame = window
    fresh = frame.assign(**maker.said)
    parts = [fresh.iloc[: PART.start], frame.iloc[PART], fresh.iloc[PART.stop :]]
    return kind, subject, f"{what}, 40 %", pd.concat(parts)


def _features_stale(maker: Maker) -> list[Window]:
    just, partly, long = (
        ("features_stale", None, f"D-{n}", maker.window(maker.draw(), feature_date=maker.day(n)))
        for n in (OLDEST_FEATURES + 1, 5, 30)
    )
    made: list[Window] = [just, _in_part(partly, maker), long]
    none = maker.draw().assign(carrier_late_rate=MISSING, origin_late_rate=MISSING)
    return [*made, ("features_stale", None, "none", maker.window(none, feature_date=None))]
