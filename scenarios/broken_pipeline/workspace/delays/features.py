"""The model's input row, for training and for serving alike: routes, late rates and weather as known when asked."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import httpx
import numpy as np
import pandas as pd
from delays.config import Settings, log
from delays.deliveries import Refused, canonical
from delays.ingest import KEY, WEATHER

LATE_AFTER_MIN = 60
RATE_DAYS = 14
CATEGORIES = ["carrier", "origin"]
RATES = {"carrier": "carrier_late_rate", "origin": "origin_late_rate"}
INPUTS = [*CATEGORIES, "hour", "distance_mi", *WEATHER, *RATES.values()]
HTTP = httpx.Client(timeout=3.0, trust_env=False)
POOL = ThreadPoolExecutor(8, thread_name_prefix="forecasts")

Hours = Mapping[int, Mapping[str, Any]]
"""By hour as written: the weather in canonical units."""


@dataclass(frozen=True)
class Known:
    """What is known of a table on the morning of a day.

    feature_date  the newest day in the table, None where it is empty
    rates         late rates by "carrier" or "origin" and code
    distances     miles by (origin, dest), as the newest row of the route has them
    """

    feature_date: str | None
    rates: dict[str, dict[str, float]]
    distances: dict[tuple[str, str], float]


def known(table: pd.DataFrame, day: date) -> Known:
    """What serving knows on `day` of the table."""
    newest = table.sort_values(["date", "sched_dep"], kind="stable").drop_duplicates(["origin", "dest"], keep="last")
    distances = newest.set_index(["origin", "dest"])["distance_mi"].to_dict()
    rates = {name: late_rates(table, name, day, day).loc[str(day)].dropna().to_dict() for name in RATES}
    return Known(table["date"].max() if len(table) else None, rates, distances)


def late_rates(table: pd.DataFrame, name: str, first: date, last: date) -> pd.DataFrame:
    """Late rates of each day from `first` to `last` (rows, ISO text) by carrier or origin (columns).

    The share of late ones among the flights that arrived on the RATE_DAYS days before the day; NaN where none did.
    """
    days = [str(first + timedelta(days=n)) for n in range(-RATE_DAYS, (last - first).days + 1)]
    arrived = table[table["arr_delay_min"].notna() & table["date"].isin(days[:-1])]
    late = (arrived["arr_delay_min"] > LATE_AFTER_MIN).groupby([arrived["date"], arrived[name]])
    daily = [found.unstack(fill_value=0).reindex(days, fill_value=0) for found in (late.sum(), late.count())]
    sums, flights = (counted.rolling(RATE_DAYS).sum().shift(1).loc[str(first) :] for counted in daily)
    return sums / flights


def training_frame(table: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """The arrived flights of `first` to `last`: KEY, INPUTS and `late` (1 or 0), sorted by KEY.

    The rates of a day are those of the days before it: what serving knows when such a flight is asked about.
    """
    rows = table[table["arr_delay_min"].notna() & table["date"].between(str(first), str(last))]
    added: dict[str, Any] = {"hour": rows["sched_dep"].str[11:13].astype(float)}
    for name, column in RATES.items():
        rates = late_rates(table, name, first, last).stack()
        added[column] = rates.reindex(pd.MultiIndex.from_frame(rows[["date", name]])).to_numpy()
    late = (rows["arr_delay_min"] > LATE_AFTER_MIN).astype(int)
    columns = [*KEY, *[name for name in INPUTS if name not in KEY], "late"]
    return rows.assign(**added, late=late)[columns].sort_values(KEY, ignore_index=True)


def departure(sched_dep: str) -> tuple[date, int]:
    """Day and hour of a departure as written, whatever its offset. Raises ValueError for text that is none."""
    written = datetime.fromisoformat(sched_dep)
    return written.date(), written.hour


def model_row(row: Mapping[str, Any], known: Known, hours: Hours) -> dict[str, Any]:
    """The inputs of one flight asked about, None where a value is missing."""
    _, hour = departure(row["sched_dep"])
    given = {"carrier": row["carrier"], "origin": row["origin"], "hour": float(hour)}
    given["distance_mi"] = _number(known.distances.get((row["origin"], row["dest"])))
    given |= {name: _number(hours.get(hour, {}).get(name)) for name in WEATHER}
    return given | {column: _number(known.rates[name].get(row[name])) for name, column in RATES.items()}


def model_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as the model takes them: INPUTS in order, strings and doubles."""
    values = {name: [row[name] for row in rows] for name in INPUTS}
    doubles = {name: np.array(values[name], dtype=float) for name in INPUTS if name not in CATEGORIES}
    return pd.DataFrame({**values, **doubles})


def forecasts(settings: Settings, wanted: Iterable[tuple[str, date]], today: date) -> dict[tuple[str, date], Hours]:
    """Hours of each origin and day; none where the provider has none or cannot be asked now."""

    def hours(place: tuple[str, date]) -> Hours:
        try:
            return _hours(settings.provider_url, today, *place)
        except (httpx.HTTPError, Refused, ValueError, KeyError, TypeError) as error:
            log("weather_missing", origin=place[0], date=place[1], reason=repr(error))
            return {}

    places = list(wanted)
    return dict(zip(places, POOL.map(hours, places), strict=True))


@lru_cache(maxsize=512)  # a forecast does not change within a business date, so each is asked for once
def _hours(url: str, today: date, origin: str, day: date) -> Hours:
    answer = HTTP.get(f"{url}/weather", params={"origin": origin, "date": str(day)}).raise_for_status().json()
    hours = pd.DataFrame.from_dict(answer["hours"], orient="index").astype(float).rename(index=int)
    return canonical(hours, answer["units"]).to_dict("index")


def _number(value: Any) -> float | None:
    """A finite number as a double, else None."""
    return float(value) if isinstance(value, int | float) and abs(value) < float("inf") else None
