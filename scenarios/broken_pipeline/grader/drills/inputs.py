"""What a model is asked with: the twelve inputs, the forecasts, and the grader's own models, which it may load."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import feeds
from .feeds import WEATHER

Features = Mapping[str, str | float | None]

TEXTS = ("carrier", "origin")
SKY = tuple(WEATHER.values())
RATES = ("carrier_late_rate", "origin_late_rate")
NUMBERS = ("hour", "distance_mi", *SKY, *RATES)
INPUTS = (*TEXTS, *NUMBERS)


class Skies:
    """The provider's forecasts in canonical units."""

    def __init__(self, private: Path) -> None:
        self._folder = private / "weather"
        self._day = lru_cache(maxsize=64)(self._read)

    def at(self, origin: str, day: date, hour: int) -> dict[str, float | None]:
        """The weather columns of an hour, None where the forecast has none; `hour` may lie on another day."""
        day, hour = day + timedelta(days=hour // 24), hour % 24
        frame = self._day(day).get(origin)
        if frame is None or hour not in frame.index:
            return dict.fromkeys(SKY)
        return {name: None if pd.isna(value) else float(value) for name, value in frame.loc[hour].items()}

    def _read(self, day: date) -> dict[str, pd.DataFrame]:
        path = self._folder / f"{day}.json"
        if not path.is_file():
            return {}
        said = json.loads(path.read_text(encoding="utf-8"))
        return {origin: feeds.forecasts(raw) for origin, raw in said.items()}


class Models:
    """The grader's models of private/models. They are its own bytes; a candidate's model is never loaded."""

    def __init__(self, private: Path) -> None:
        self._folder = private / "models"
        self._load = lru_cache(maxsize=8)(self._loaded)

    def risks(self, role: str, rows: Sequence[Features]) -> NDArray[np.float64]:
        """p_late of each row of inputs by a role's model."""
        frame = pd.DataFrame([{name: row.get(name) for name in INPUTS} for row in rows], columns=list(INPUTS))
        frame = frame.astype(dict.fromkeys(NUMBERS, "float64") | dict.fromkeys(TEXTS, "object"))
        found: NDArray[np.float64] = np.asarray(self._load(role).predict(frame), dtype=float)[:, 1]
        return found

    def _loaded(self, role: str) -> Any:
        import mlflow.pyfunc  # takes seconds, and not every run needs it

        return mlflow.pyfunc.load_model(str(self._folder / role))
