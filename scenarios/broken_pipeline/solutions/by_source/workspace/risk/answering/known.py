"""What is known on a business date, and the answers that follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from risk.answering.forecasts import Forecasts
from risk.base import CODES, INPUTS, NAME, NUMBERS, WEATHER
from risk.landing import partitions
from risk.learning.frame import RATES, labelled
from risk.learning.versions import Loaded

Row = dict[str, Any]
USED = ["dest", "sched_dep", "distance_mi", "arr_delay_min"]


@dataclass(frozen=True)
class Known:
    """From the table: its newest day, late rates by code, miles by route."""

    today: date
    newest: str | None
    rates: Mapping[str, Mapping[str, float]]
    miles: Mapping[tuple[str, str], float]


def known(today: date) -> Known:
    """As of a business date."""
    rows = partitions.rows(date.min, today - timedelta(1), USED)
    recent = labelled(rows[rows["date"] >= str(today - timedelta(RATES))])
    rates = {code: recent.groupby(code)["late"].mean().to_dict() for code in CODES}
    routes = rows.sort_values(["date", "sched_dep"], kind="stable").groupby(["origin", "dest"])["distance_mi"].last()
    return Known(today, rows["date"].max() if len(rows) else None, rates, routes.to_dict())


def features(rows: Sequence[Row], about: Known, forecasts: Forecasts) -> list[Row]:
    """The twelve inputs of each row."""
    departures = [datetime.fromisoformat(row["sched_dep"]) for row in rows]
    places = [(row["origin"], at.date()) for row, at in zip(rows, departures, strict=True)]
    weather = forecasts.hours(places)
    made = []
    for row, at, place in zip(rows, departures, places, strict=True):
        readings = weather[place].get(str(at.hour), {})
        inputs = {"carrier": row["carrier"], "origin": row["origin"], "hour": float(at.hour)}
        inputs["distance_mi"] = about.miles.get((row["origin"], row["dest"]))
        inputs |= {name: readings.get(name) for name in WEATHER}
        inputs |= {f"{code}_late_rate": about.rates[code].get(row[code]) for code in CODES}
        made.append(inputs)
    return made


def table_of(made: Sequence[Row]) -> pd.DataFrame:
    """Inputs as models take them. Column by column, for a request has few rows and a frame's detours are long."""
    kinds = dict.fromkeys(CODES, object) | dict.fromkeys(NUMBERS, float)
    return pd.DataFrame({name: np.array([row[name] for row in made], dtype=kinds[name]) for name in INPUTS})


def answered(rows: Sequence[Row], about: Known, forecasts: Forecasts, model: Loaded) -> list[Row]:
    """Answers in the order of the rows."""
    if not rows:
        return []
    made = features(rows, about, forecasts)
    said = {"name": NAME, "version": model.id[0], "run_id": model.id[1]}
    return [
        {"row_id": row["row_id"], "p_late": float(p), "model": said, "feature_date": about.newest, "features": inputs}
        for row, p, inputs in zip(rows, model.risks(table_of(made)), made, strict=True)
    ]
