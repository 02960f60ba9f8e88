"""The model's input row: one definition for training and for serving."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from delays import feeds
from delays.features import WINDOW_DAYS, Partition, rates_by_day

CATEGORIES = ["carrier", "origin"]
RATES = ["carrier_late_rate", "origin_late_rate"]
COLUMNS = ["carrier", "origin", "hour", "distance_mi", *feeds.WEATHER, *RATES]


def departure(sched_dep: str) -> tuple[date, int]:
    """Day and hour of a scheduled departure as written, whatever its offset. Raises ValueError without an offset."""
    written = datetime.fromisoformat(sched_dep)
    if written.tzinfo is None:
        raise ValueError("sched_dep has no offset")
    return written.date(), written.hour


def model_row(
    carrier: str,
    origin: str,
    hour: int,
    distance_mi: float | None,
    weather: Mapping[str, Any],
    partition: Partition | None,
) -> dict[str, Any]:
    """The inputs of one flight under the names of COLUMNS, None where a value is missing."""
    rates = partition.rates if partition else {}
    measured = {name: _number(weather.get(name)) for name in feeds.WEATHER}
    trailing = [_number(rates.get(f"carrier:{carrier}")), _number(rates.get(f"origin:{origin}"))]
    known = {"carrier": carrier, "origin": origin, "hour": float(hour), "distance_mi": distance_mi}
    return {**known, **measured, **dict(zip(RATES, trailing, strict=True))}


def model_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the model takes them: COLUMNS in order, strings and doubles."""
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({name: object if name in CATEGORIES else float for name in COLUMNS})


def training_frame(root: Path, first: date, last: date, missing_at_most: int = 5) -> pd.DataFrame:
    """Flights of `first` to `last` that arrived: `date`, COLUMNS and `late` (1.0 or 0.0), in a fixed order.

    The rates of a day are those up to the day before: what serving knows when the flight is asked about.
    """
    start = first - timedelta(days=WINDOW_DAYS)
    arrivals = feeds.read_days(feeds.read_arrivals, root, start, last, missing_at_most)
    rates = rates_by_day(arrivals)
    rates = rates.assign(date=[day + timedelta(days=1) for day in rates["date"]])
    weather = feeds.read_days(feeds.read_weather, root, first, last, missing_at_most)
    weather = weather.drop_duplicates(["date", "origin", "hour"])
    flights = arrivals[(arrivals["date"] >= first) & arrivals["late"].notna()]
    flights = flights.assign(hour=[float(departure(text)[1]) for text in flights["sched_dep"]])
    flights = flights.merge(feeds.read_routes(root), how="left", on=["origin", "dest"])
    flights = flights.merge(weather, how="left", on=["date", "origin", "hour"])
    for name, column in zip(CATEGORIES, RATES, strict=True):
        of_key = rates[["date", "key", "late_rate"]].rename(columns={"late_rate": column})
        flights["key"] = name + ":" + flights[name]
        flights = flights.merge(of_key, how="left", on=["date", "key"])
    flights = flights.sort_values(["date", "sched_dep", "carrier", "flight", "origin"], kind="stable")
    inputs = model_frame(flights[COLUMNS].to_dict("list"))
    return inputs.assign(late=flights["late"].to_numpy(), date=flights["date"].to_numpy())


def _number(value: Any) -> float | None:
    """A finite number as a double, else None."""
    return float(value) if isinstance(value, int | float) and abs(value) < float("inf") else None
