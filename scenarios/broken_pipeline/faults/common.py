"""What the forms of the data slots share: days of the story, looks at a running stack, feeds and table of a site."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd
from scenario_base import flights

from harness.model import Site

from .. import deliveries, world

Values = Mapping[str, Any]

DELIVERIES, CONTRACT, INGEST, FEATURES = (
    f"delays/{name}.py" for name in ("deliveries", "contract", "ingest", "features")
)
KEY = list(world.KEY)
TABLE, LOG, REPORTS = "table/flights.parquet", "state/predictions/*", "state/nightly/*"

EARLIEST, LATEST = 17, 8
"""Days before the business date between which a form begins that is free to: "for two weeks" is true."""

DAYTIME = range(7, 21)
"""Hours in which every airport has flights, so that a missing value of the hour is in the table."""


# --- a running stack --------------------------------------------------------------------------------------------------


# --- days of the story, from its values alone ---------------------------------------------------------------------


def before(values: Values, days: int) -> date:
    """The day that many days before the business date."""
    return date.fromisoformat(values["business_date"]) - timedelta(days=days)


@dataclass(frozen=True)
class Second:
    """The second delivery about a source's day, and the night that finds it.

    late_rows  whether it brings rows that the first one lacks
    replaces   whether the first one had landed, so that rows come anew
    """

    source: str
    day: date
    night: date
    late_rows: bool
    replaces: bool


def second_deliveries(values: Values) -> list[Second]:
    """The second deliveries about the days D-24 to D-1, as `deliveries` draws them."""
    days = [before(values, days) for days in range(24, 0, -1)]
    found = [_second(values, source, day) for source in flights.ORIGINS for day in days]
    return [each for each in found if each is not None]


def _second(values: Values, source: str, day: date) -> Second | None:
    bad, here = values["bad"], {"source": source, "date": str(day)}
    if source == bad["source"] and str(day) in bad["days"]:
        mended = Second(source, day, day + timedelta(days=3), late_rows=False, replaces=False)
        return mended if str(day) != bad["unmended"] else None
    if here == values["short"] or here in values["wrong"]:
        return Second(source, day, day + timedelta(days=2), late_rows=False, replaces=here in values["wrong"])
    rng = random.Random(f"{values['sample_seed']}/delivery {source} {day}")
    if rng.random() >= deliveries.REDELIVERED_SHARE:
        return None
    nights, weather_alone = rng.choice((2, 2, 3)), rng.random() < deliveries.WEATHER_ALONE_SHARE
    return Second(source, day, day + timedelta(days=nights), late_rows=not weather_alone, replaces=True)


def gaps(values: Values) -> Iterator[tuple[str, date]]:
    """Source and day of each daytime hour for which temperature and humidity are missing, D-24 to D-1.

    As `world` draws it; the days on which a source's first delivery is refused are left out.
    """
    bad = values["bad"]
    for source in flights.ORIGINS:
        for days in range(24, 0, -1):
            day = before(values, days)
            rng = random.Random(f"{values['sample_seed']}/sensors {source} {day}")
            if rng.random() >= world.FAILING_SHARE or (source == bad["source"] and str(day) in bad["days"]):
                continue
            first, hours = rng.randrange(24), rng.randint(*world.FAILING_HOURS)
            if "temp_f" in rng.choice(world.SENSORS) and first in DAYTIME and first + hours - 1 in DAYTIME:
                yield source, day


def a_calm_night(rng: random.Random, values: Values, shows: Callable[[date], bool] = lambda _: True) -> date:
    """A night from D-EARLIEST to D-LATEST since which code may be broken so that its first bad day is clear.

    A night lands the day before it, and lands anew the days whose second delivery it finds. On the night that is
    returned, and later, no day is landed anew that is older than the one before it; and `shows` says that something is
    wrong with this day or with one of the two after it. Where there is no such night, the one with the fewest of these
    days is taken.
    """
    second = second_deliveries(values)

    def unclear(night: date) -> int:
        older = sum(each.night >= night and each.day < night - timedelta(days=1) for each in second)
        return older + 100 * (not any(shows(night + timedelta(days=n)) for n in (-1, 0, 1)))

    nights = [before(values, days) for days in range(EARLIEST, LATEST - 1, -1)]
    least = min(unclear(night) for night in nights)
    return rng.choice([night for night in nights if unclear(night) == least])


# --- a laid-out site ------------------------------------------------------------------------------------------------


def table(site: Site) -> pd.DataFrame:
    """The canonical table that the nights left."""
    return pd.read_parquet(site.workspace / TABLE)


def since(frame: pd.DataFrame, day: date) -> pd.DataFrame:
    """The rows of a day and of those after it."""
    return frame[frame["date"] >= str(day)]


def delivered(site: Site, first: date) -> pd.DataFrame:
    """The flights that were delivered for the days from `first` to D-2, in whatever delivery: KEY.

    The night of the business date has not been: of later deliveries that it finds some are among them.
    """
    last = str(table(site)["date"].max())
    parts = [
        pd.read_csv(path, usecols=["carrier", "flight"], keep_default_na=False).assign(
            date=path.parent.name, origin=path.parent.parent.name
        )
        for path in sorted((site.workspace / "feeds").glob("*/*/*.flights.csv"))
        if str(first) <= path.parent.name <= last
    ]
    return pd.concat(parts, ignore_index=True)[KEY].drop_duplicates()


def keys(frame: pd.DataFrame) -> pd.MultiIndex:
    """The keys of rows."""
    return pd.MultiIndex.from_frame(frame[KEY])


def records(site: Site) -> set[tuple[str, str]]:
    """Source and day of what is in quarantine, released or not."""
    return {(path.parent.name, path.stem) for path in site.workspace.glob("quarantine/*/*.json")}
