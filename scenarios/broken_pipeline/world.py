"""What really flew and what the weather really was: the remapped year in canonical units, as this scenario needs it.

Beyond `scenario_base.flights`: every flight has its distance and what was measured of it, stations fail for some hours,
and the same number of a carrier leaves two airports on some days, as it does in the summer's real data.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd
from scenario_base import flights

KEY = ("date", "carrier", "flight", "origin")
MEASURED = ("distance_mi", "dep_delay_min", "air_time_min", "arr_delay_min")
WEATHER = ("temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb")

SHORTEST_MI = 50.0
"""The published rules refuse shorter routes; one cancelled flight of the year (to LGA) is left out for it."""

STRONGEST_MPH = 120.0
"""What the published rules take for wind; a gust of 1048 mph in February was a failing sensor."""

FAILING_SHARE = 0.35
"""Share of station days on which a sensor fails for some hours."""

FAILING_HOURS = (1, 4)
"""At most a sixth of a day's hours, and the source itself lacks at most one more: the rule says 30 %."""

SENSORS = (("temp_f", "humid_pct"), ("temp_f", "humid_pct"), ("wind_mph",), ("visib_mi",))
"""What fails together; temperature and humidity are one sensor, and the one that fails most."""

REPEATS = (-68, -59, -51, -44, -37, -30, -23, -16, -9, -5, -2, 1, 3, 5, 7, 9)
"""Days, from the business date, on which one number of a carrier leaves two airports whatever the real data has."""


@dataclass(frozen=True)
class World:
    """The remapped year, sorted.

    flights  KEY, dest, sched_dep and MEASURED; delays and air time are Int64, missing where there are none
    weather  date, origin, hour and WEATHER, a row an airport and hour that has a measurement
    """

    flights: pd.DataFrame
    weather: pd.DataFrame

    def between(self, first: date, last: date) -> World:
        """The days `first` to `last`, both included."""
        flown, sky = (frame[frame["date"].between(str(first), str(last))] for frame in (self.flights, self.weather))
        return World(flown.reset_index(drop=True), sky.reset_index(drop=True))


def read(drawn: Mapping[str, Any]) -> World:
    """The world of a seed's values. Raises EnvironmentFault when the data package is not installed."""
    source = flights.read(drawn)
    flown = source.arrivals.assign(**source.flown).merge(source.routes, how="left", on=["origin", "dest"])
    flown = flown[flown["distance_mi"] >= SHORTEST_MI].reset_index(drop=True)
    today = date.fromisoformat(drawn["business_date"])
    for days in REPEATS:
        _repeat_number(flown, str(today + timedelta(days=days)), drawn["sample_seed"])
    return World(flown[[*KEY, "dest", "sched_dep", *MEASURED]], _with_failures(source.weather, drawn["sample_seed"]))


def table(world: World, last: date) -> pd.DataFrame:
    """The canonical table of all days up to `last`, as it would be had everything been delivered at once."""
    part = world.between(date.min, last)
    hour = part.flights["sched_dep"].str[11:13].astype(int)
    rows = part.flights.assign(hour=hour).merge(part.weather, how="left", on=["date", "origin", "hour"])
    rows = rows.astype({"flight": "int64", **dict.fromkeys((*MEASURED, *WEATHER), "float64")})
    return rows[[*KEY, "dest", "sched_dep", *MEASURED, *WEATHER]].sort_values(list(KEY), ignore_index=True)


def _repeat_number(flown: pd.DataFrame, day: str, seed: int) -> None:
    """Give one flight of the day the number of another of its carrier that leaves another airport."""
    rng = random.Random(f"{seed}/repeat {day}")
    of_day = flown[flown["date"] == day]
    taken = set(of_day[["carrier", "flight"]].itertuples(index=False, name=None))
    places = of_day.groupby("carrier")["origin"].nunique()
    carrier = rng.choice(sorted(places[places > 1].index))
    own = of_day[of_day["carrier"] == carrier]
    origin, other = rng.sample(sorted(own["origin"].unique()), 2)
    number = rng.choice(sorted(own.loc[own["origin"] == origin, "flight"]))
    if len(own[own["flight"] == number]) == 1 and (carrier, number) in taken:
        flown.loc[rng.choice(sorted(own.index[own["origin"] == other])), "flight"] = number


def _with_failures(weather: pd.DataFrame, seed: int) -> pd.DataFrame:
    sky = weather.assign(wind_mph=weather["wind_mph"].where(weather["wind_mph"] <= STRONGEST_MPH))
    for (day, origin), rows in sky.groupby(["date", "origin"], sort=True):
        rng = random.Random(f"{seed}/sensors {origin} {day}")
        if rng.random() < FAILING_SHARE:
            first, hours = rng.randrange(24), rng.randint(*FAILING_HOURS)
            failing = rows.index[rows["hour"].between(first, first + hours - 1)]
            sky.loc[failing, list(rng.choice(SENSORS))] = float("nan")
    return sky[["date", "origin", "hour", *WEATHER]]
