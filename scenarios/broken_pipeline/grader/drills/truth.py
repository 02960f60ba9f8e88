"""What the canonical table must hold, made by the grader from all deliveries so far and the published rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from . import feeds
from .feeds import MEASURED, WEATHER, Delivery, Files

KEY = ["date", "carrier", "flight", "origin"]
HOUR = ["date", "origin", "hour"]
NARROW = ["date", "carrier", "flight"]
LATE_AFTER_MIN = 60

SourceDay = tuple[str, str]
"""A source and an ISO day."""


@dataclass(frozen=True)
class Truth:
    """The right table, by key (the index), and what it was made from.

    rows      the table's columns besides the key, and `hour`
    weather   what each source measured: columns of WEATHER by (date, origin, hour)
    refused   the refused deliveries
    repeats   keys whose (date, carrier, flight) leaves more than one airport
    """

    rows: pd.DataFrame
    weather: pd.DataFrame
    refused: tuple[Delivery, ...]
    repeats: pd.MultiIndex

    def between(self, first: date, last: date) -> Truth:
        """The rows of the days `first` to `last`, both included; weather and refusals are kept whole."""
        days = self.rows.index.get_level_values("date")
        rows = self.rows[(days >= str(first)) & (days <= str(last))]
        days = self.repeats.get_level_values("date")
        return Truth(rows, self.weather, self.refused, self.repeats[(days >= str(first)) & (days <= str(last))])

    def of(self, source: str, day: date) -> pd.DataFrame:
        """The rows of a source's day."""
        days, origins = (self.rows.index.get_level_values(name) for name in ("date", "origin"))
        return self.rows[(days == str(day)) & (origins == source)]

    def troubled(self) -> set[SourceDay]:
        """The source-days of which a delivery was refused."""
        return {(each.source, str(each.day)) for each in self.refused}


class Deliveries:
    """All that was delivered to both stacks so far; each delivery is read once."""

    def __init__(self) -> None:
        self._files: Files = {}
        self._read: dict[tuple[str, date, int], Delivery] = {}

    def add(self, files: Mapping[str, bytes]) -> None:
        """More deliveries. Raises KeyError for a part whose manifest has come without it only as `read` does."""
        self._files |= files
        for source, day, number in feeds.manifests(files):
            self._read[source, day, number] = feeds.read(self._files, source, day, number)

    def all(self) -> list[Delivery]:
        """Every delivery, by source, day and number."""
        return [self._read[name] for name in sorted(self._read)]

    def numbers(self, source: str, day: date) -> list[int]:
        """The numbers of the deliveries of a source's day."""
        return sorted(number for where, when, number in self._read if (where, when) == (source, day))

    def truth(self, today: date, days: int) -> Truth:
        """What the table must hold of the `days` days before `today`."""
        first = today - timedelta(days=days)
        return made([each for each in self.all() if first <= each.day < today])


def made(deliveries: Iterable[Delivery]) -> Truth:
    """The table that deliveries make, given in the order in which they count."""
    accepted, refused = [], []
    for each in deliveries:
        (refused if each.refused else accepted).append(each)
    flights = _newest([_placed(each, each.flights) for each in accepted if each.flights is not None], KEY)
    weather = _newest([_placed(each, each.weather) for each in accepted if each.weather is not None], HOUR)
    flights["hour"] = flights["sched_dep"].str[11:13].astype("int64")
    rows = flights.merge(weather, how="left", on=HOUR).set_index(KEY).sort_index()
    several = rows.index.to_frame(index=False).groupby(NARROW)["origin"].transform("size") > 1
    return Truth(rows, weather.set_index(HOUR).sort_index(), tuple(refused), rows.index[several.to_numpy()])


def _placed(delivery: Delivery, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(date=str(delivery.day), origin=delivery.source)


def _newest(frames: list[pd.DataFrame], key: list[str]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True).drop_duplicates(key, keep="last")


# --- what follows from a table ----------------------------------------------------------------------------------------


def rates(rows: pd.DataFrame, day: date) -> dict[str, dict[str, float]]:
    """Late rates of the 14 days before a day, by carrier and by origin. `rows` has the key as columns."""
    first = day - timedelta(days=14)
    known = rows[(rows["date"] >= str(first)) & (rows["date"] < str(day)) & rows["arr_delay_min"].notna()]
    late = (known["arr_delay_min"] > LATE_AFTER_MIN).astype(float)
    return {name: late.groupby(known[name]).mean().to_dict() for name in ("carrier", "origin")}


def distances(rows: pd.DataFrame) -> dict[tuple[str, str], frozenset[float]]:
    """The distances of the newest day of each route (origin, dest) in a table with the key as columns."""
    if rows.empty:
        return {}
    newest = rows.groupby(["origin", "dest"])["date"].transform("max")
    last = rows[(rows["date"] == newest) & rows["distance_mi"].notna()]
    found = last.groupby(["origin", "dest"])["distance_mi"].agg(frozenset)
    return {(str(origin), str(dest)): values for (origin, dest), values in found.items()}


COLUMNS = (*KEY, "dest", "sched_dep", *MEASURED.values(), *WEATHER.values())
"""The canonical table's columns."""
