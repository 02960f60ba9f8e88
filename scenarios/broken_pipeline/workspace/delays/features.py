"""The model's input row, for training and for serving alike: routes, late rates and weather as known when asked."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

import httpx
import pandas as pd
from delays.config import Settings, log
from delays.deliveries import Refused, canonical
from delays.ingest import KEY, WEATHER

LATE_AFTER_MIN = 60
RATE_DAYS = 14
CATEGORIES = ["carrier", "origin"]
RATES = {"carrier": "carrier_late_rate", "origin": "origin_late_rate"}
INPUTS = [*CATEGORIES, "hour", "distance_mi", *WEATHER, *RATES.values()]

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
    start = first - timedelta(days=RATE_DAYS)
    arrived = table[table["arr_delay_min"].notna() & table["date"].between(str(start), str(last - timedelta(days=1)))]
    late = arrived.assign(late=arrived["arr_delay_min"] > LATE_AFTER_MIN).groupby(["date", name])["late"]
    days = [str(start + timedelta(days=n)) for n in range((last - start).days + 1)]
    counted = [
        daily.unstack(fill_value=0).reindex(days, fill_value=0).rolling(RATE_DAYS).sum().shift(1)
        for daily in (late.sum(), late.count())
    ]
    return (counted[0] / counted[1]).loc[str(first) :]


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
    return date.fromisoformat(sched_dep[:10]), int(sched_dep[11:13])


def model_row(row: Mapping[str, Any], known: Known, hours: Hours) -> dict[str, Any]:
    """The inputs of one flight asked about, None where a value is missing."""
    _, hour = departure(row["sched_dep"])
    weather = hours.get(hour, {})
    return {
        "carrier": row["carrier"],
        "origin": row["origin"],
        "hour": float(hour),
        "distance_mi": _number(known.distances.get((row["origin"], row["dest"]))),
        **{name: _number(weather.get(name)) for name in WEATHER},
        **{column: _number(known.rates[name].get(row[name])) for name, column in RATES.items()},
    }


def model_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as the model takes them: INPUTS in order, strings and doubles."""
    frame = pd.DataFrame(rows, columns=INPUTS)
    return frame.astype({name: "str" if name in CATEGORIES else float for name in INPUTS})


# --- forecasts ---------------------------------------------------------------------------------------------------

_KEPT: dict[tuple[str, date, str, date], tuple[Hours, float]] = {}
"""Hours by provider, business date, origin and day; and until when (on the monotonic clock) they are good."""


def forecasts(settings: Settings, wanted: Iterable[tuple[str, date]], today: date) -> dict[tuple[str, date], Hours]:
    """Hours of each origin and day; none where the provider has none or cannot be asked now.

    A forecast does not change within a business date, so each is asked for once.
    """
    places = {place: (settings.provider_url, today, *place) for place in wanted}
    now = time.monotonic()
    new = [place for place, key in places.items() if _KEPT.get(key, ({}, 0.0))[1] < now]
    if new:
        with ThreadPoolExecutor(8) as pool:
            asked = pool.map(lambda place: _hours(settings, *place), new)
            _KEPT.update({places[place]: answer for place, answer in zip(new, asked, strict=True)})
    return {place: _KEPT[key][0] for place, key in places.items()}


def _hours(settings: Settings, origin: str, day: date) -> tuple[Hours, float]:
    try:
        answer = fetch(settings, origin, day)
        if not answer or not answer["hours"]:
            return {}, float("inf")
        frame = pd.DataFrame.from_dict(answer["hours"], orient="index").astype(float)
        frame.index = frame.index.astype(int)
        return canonical(frame, answer["units"]).to_dict("index"), float("inf")
    except (httpx.HTTPError, Refused, ValueError, KeyError, TypeError) as error:
        log("weather_missing", origin=origin, date=day, reason=repr(error))
        return {}, time.monotonic() + settings.serving["forecast_retry_s"]


def fetch(settings: Settings, origin: str, day: date) -> dict[str, Any] | None:
    """The provider's answer about an airport and day, None where it has none. Raises httpx.HTTPError."""
    http = _client(settings.provider_url, settings.serving["forecast_timeout_s"])
    answer = http.get("/weather", params={"origin": origin, "date": str(day)})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    return dict(answer.raise_for_status().json())


@cache
def _client(url: str, timeout_s: float) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=timeout_s, trust_env=False)


def _number(value: Any) -> float | None:
    """A finite number as a double, else None."""
    return float(value) if isinstance(value, int | float) and abs(value) < float("inf") else None
