"""What the three sources deliver and when: manifests and files, units that change, late rows, refused days, mends.

The same whatever is broken in the code: a trap for code that is broken is no more than an oddity for code that is not.
Each source and day draws from a generator of its own, so any stretch of days can be delivered alone.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from scenario_base import flights

from harness.model import Site

from .world import World

FEED_DAYS = 96
HIDDEN_DAYS = 10
FORECAST_DAYS = (2, 17)
"""Forecasts reach from two days before the business date to 17 days after it."""

FORECAST_CHANGES = 2
"""Days after the business date from which on forecasts come in other units than the source has for its deliveries."""

FORECAST_UNITS = {
    "temp": {"temp": "F", "wind": "m/s"},
    "wind": {"temp": "C", "wind": "kn"},
    "distance": {"temp": "C", "wind": "mph"},
}
"""Those units, by what the source changed in the story: who converts by a source's name, or by the unit that it had, is
wrong at each of them. All of them are in use, and none of the faults touches knots."""

STORY_CHANGES = (14, 15, 16, 17, 18)
"""Days before the business date from which on a source may have another unit."""

USUAL = {"temp": "F", "humid": "%", "wind": "mph", "precip": "in", "visib": "mi", "pressure": "mb", "distance": "mi"}
CHANGED = {"temp": "C", "wind": "m/s", "distance": "km"}
WINDY = ("JFK", "LGA")
"""Where wind changes its unit: EWR's is so much weaker on some days that nobody could tell."""

ODD = {"visib": "km", "precip": "mm"}
"""What one source has said all year, to nobody's harm."""

NAMES = {
    "temp": "temp_f",
    "humid": "humid_pct",
    "wind": "wind_mph",
    "precip": "precip_in",
    "visib": "visib_mi",
    "pressure": "pressure_mb",
}
"""Delivered weather columns and their canonical names."""

FLIGHTS = {
    "carrier": "carrier",
    "flight": "flight",
    "dest": "dest",
    "sched_dep": "sched_dep",
    "distance": "distance_mi",
    "dep_delay": "dep_delay_min",
    "air_time": "air_time_min",
    "arr_delay": "arr_delay_min",
}
"""Delivered flight columns and their canonical names."""

_FROM_CANONICAL: Mapping[str, Callable[[pd.Series], pd.Series]] = {
    "C": lambda f: (f - 32) / 1.8,
    "m/s": lambda mph: mph * 0.44704,
    "kn": lambda mph: mph * 1.609344 / 1.852,
    "km": lambda mi: mi * 1.609344,
    "mm": lambda inches: inches * 25.4,
}
_DIGITS = 2

REDELIVERED_SHARE = 0.2
WEATHER_ALONE_SHARE = 0.15
"""Of redelivered days: what comes again is the weather, of which the first delivery lacked two hours."""

LATE_ROWS = (0.02, 0.08)
UNFILLED_ROWS = (0.02, 0.05)
"""Shares of a redelivered day: rows that its first delivery lacks, and rows whose arrival it did not know yet."""

MISSING_SHARE = 0.4
"""Share of a bad day's hours without temperature and humidity."""

WRONG_ROUTES = 6
WRONG_FACTOR = 1.3
"""On a day with wrong distances the busiest routes say so much more than they are; all are within the rules."""


@dataclass(frozen=True)
class Delivery:
    """One delivery: what its manifest says, and the night (the business date) that finds it.

    flights, weather  as delivered (see FLIGHTS, NAMES), None where the part is absent
    lost_rows         rows that the manifest counts and the file of flights lacks
    """

    source: str
    day: date
    number: int
    night: date
    units: Mapping[str, str]
    flights: pd.DataFrame | None
    weather: pd.DataFrame | None
    lost_rows: int = 0

    @property
    def folder(self) -> str:
        """Its folder below feeds/."""
        return f"{self.source}/{self.day}"

    def files(self) -> dict[str, bytes]:
        """Paths below feeds/ and contents; the manifest comes last."""
        manifest: dict[str, Any] = {"source": self.source, "date": str(self.day), "delivery": self.number}
        found: dict[str, bytes] = {}
        parts = (("flights", self.flights, ("distance",)), ("weather", self.weather, tuple(NAMES)))
        for part, frame, named in parts:
            if frame is None:
                continue
            lost = self.lost_rows if part == "flights" else 0
            content = _csv(frame.head(len(frame) - lost))
            name = f"{self.number}.{part}.csv"
            manifest[part] = {
                "file": name,
                "rows": len(frame),
                "sha256": hashlib.sha256(content).hexdigest(),
                "units": {column: self.units[column] for column in named},
            }
            found[f"{self.folder}/{name}"] = content
        found[f"{self.folder}/{self.number}.json"] = (json.dumps(manifest, indent=1) + "\n").encode()
        return found


@dataclass(frozen=True)
class _Day:
    """A source's day: its flights and weather as they are, its units, and its generator."""

    source: str
    day: date
    units: Mapping[str, str]
    flights: pd.DataFrame
    weather: pd.DataFrame
    rng: random.Random = field(compare=False)

    def delivery(
        self, number: int, nights: int, flights: pd.DataFrame | None, weather: pd.DataFrame | None, lost_rows: int = 0
    ) -> Delivery:
        """A delivery that comes so many nights after the day, with parts in canonical units."""
        return Delivery(
            source=self.source,
            day=self.day,
            number=number,
            night=self.day + timedelta(days=nights),
            units=self.units,
            flights=None if flights is None else _delivered(flights, FLIGHTS, self.units),
            weather=None if weather is None else _delivered(weather, {"hour": "hour", **NAMES}, self.units),
            lost_rows=lost_rows,
        )

    def some(self, share: float) -> list[int]:
        """Labels of a share of the flights, at least one."""
        return self.rng.sample(list(self.flights.index), max(1, round(share * len(self.flights))))


# --- values -------------------------------------------------------------------------------------------------------


def draw(rng: random.Random, today: date) -> dict[str, Any]:
    """What a seed draws of the deliveries, fit for JSON. Days are ISO; each is the day of flights, not of a night.

    unit_changes  by column (temp, wind, distance): {source, from, unit}; each at another source
    odd_source    the source that has always given visib in km and precip in mm
    bad           {source, days, unmended}: three days in a row with too many missing values; one of them stays so
    short         {source, date}: a first delivery that lacks rows which its manifest counts
    wrong         two {source, date}: the first delivery has wrong distances for the busiest routes
    """

    def day(before: int) -> str:
        return str(today - timedelta(days=before))

    windy = rng.choice(WINDY)
    others = rng.sample([source for source in flights.ORIGINS if source != windy], 2)
    placed = {"temp": others[0], "wind": windy, "distance": others[1]}
    since = dict(zip(placed, rng.sample(STORY_CHANGES, len(placed)), strict=True))
    bad, short = rng.sample(flights.ORIGINS, 2)
    days = [day(before) for before in (12, 11, 10)]
    return {
        "unit_changes": {
            name: {"source": source, "from": day(since[name]), "unit": CHANGED[name]} for name, source in placed.items()
        },
        "odd_source": rng.choice(flights.ORIGINS),
        "bad": {"source": bad, "days": days, "unmended": rng.choice(days)},
        "short": {"source": short, "date": day(rng.randrange(4, 7))},
        "wrong": [
            {"source": source, "date": day(before)}
            for source, before in zip(rng.sample(flights.ORIGINS, 2), (rng.randrange(7, 10), 3), strict=True)
        ],
    }


def units_of(drawn: Mapping[str, Any], source: str, day: date) -> dict[str, str]:
    """The units that a source has for a day, by delivered column."""
    units = dict(USUAL)
    if source == drawn["odd_source"]:
        units |= ODD
    for column, change in drawn["unit_changes"].items():
        if change["source"] == source and str(day) >= change["from"]:
            units[column] = change["unit"]
    return units


def forecast_units(drawn: Mapping[str, Any], source: str, day: date, since: date | None) -> dict[str, str]:
    """The units of a source's forecast for a day: those of its deliveries, and others for the days from `since` on."""
    units = units_of(drawn, source, day)
    if since is not None and day >= since:
        changed = (name for name, change in drawn["unit_changes"].items() if change["source"] == source)
        units |= {unit: said for name in changed for unit, said in FORECAST_UNITS[name].items()}
    return units


# --- deliveries ---------------------------------------------------------------------------------------------------


def deliveries(world: World, drawn: Mapping[str, Any], first: date, last: date) -> Iterator[Delivery]:
    """Every delivery about the days `first` to `last`, both included, in the order of days and sources."""
    part = world.between(first, last)
    sky = dict(list(part.weather.groupby(["date", "origin"])))
    for (day, source), flown in part.flights.groupby(["date", "origin"], sort=True):
        of_day = _Day(
            source=str(source),
            day=date.fromisoformat(str(day)),
            units=units_of(drawn, str(source), date.fromisoformat(str(day))),
            flights=flown,
            weather=sky[(day, source)],
            rng=random.Random(f"{drawn['sample_seed']}/delivery {source} {day}"),
        )
        yield from _of_day(of_day, drawn)


def _of_day(of_day: _Day, drawn: Mapping[str, Any]) -> Iterator[Delivery]:
    here = {"source": of_day.source, "date": str(of_day.day)}
    bad = drawn["bad"]
    if of_day.source == bad["source"] and str(of_day.day) in bad["days"]:
        yield from _bad(of_day, mended=str(of_day.day) != bad["unmended"])
    elif here == drawn["short"]:
        yield of_day.delivery(1, 1, of_day.flights, of_day.weather, lost_rows=of_day.rng.randint(12, 30))
        yield of_day.delivery(2, 2, of_day.flights, of_day.weather)
    elif here in drawn["wrong"]:
        yield from _wrong(of_day)
    elif of_day.rng.random() < REDELIVERED_SHARE:
        yield from _redelivered(of_day)
    else:
        yield of_day.delivery(1, 1, of_day.flights, of_day.weather)


def _bad(of_day: _Day, mended: bool) -> Iterator[Delivery]:
    """Too many missing values; mended two nights later, or never."""
    sky = of_day.weather.copy()
    known = list(sky.index[sky["temp_f"].notna()])
    missing = of_day.rng.sample(known, max(0, round(MISSING_SHARE * len(sky)) - (len(sky) - len(known))))
    sky.loc[missing, ["temp_f", "humid_pct"]] = float("nan")
    yield of_day.delivery(1, 1, of_day.flights, sky)
    if mended:
        yield of_day.delivery(2, 3, of_day.flights, of_day.weather)


def _wrong(of_day: _Day) -> Iterator[Delivery]:
    """Distances of the busiest routes that are wrong, and those rows anew on the next night."""
    busiest = of_day.flights.groupby("dest").size().sort_index().sort_values(ascending=False, kind="stable").index
    longest = of_day.flights.groupby("dest")["distance_mi"].max()
    routes = [dest for dest in busiest if longest[dest] < 3000][:WRONG_ROUTES]
    meant = of_day.flights["dest"].isin(routes)
    wrong = (of_day.flights["distance_mi"] * WRONG_FACTOR).round(1)
    yield of_day.delivery(
        1, 1, of_day.flights.assign(distance_mi=of_day.flights["distance_mi"].mask(meant, wrong)), of_day.weather
    )
    yield of_day.delivery(2, 2, of_day.flights[meant], None)


def _redelivered(of_day: _Day) -> Iterator[Delivery]:
    """Late rows, and arrivals that the first delivery did not know; some bring the weather anew, some only that."""
    nights = of_day.rng.choice((2, 2, 3))
    if of_day.rng.random() < WEATHER_ALONE_SHARE:
        fewer = of_day.weather.drop(index=of_day.rng.sample(list(of_day.weather.index), 2))
        yield of_day.delivery(1, 1, of_day.flights, fewer)
        yield of_day.delivery(2, nights, None, of_day.weather)
        return
    late = of_day.some(of_day.rng.uniform(*LATE_ROWS))
    arrived = of_day.flights["arr_delay_min"].notna()
    unfilled = [label for label in of_day.some(of_day.rng.uniform(*UNFILLED_ROWS)) if arrived[label]]
    first = of_day.flights.copy()
    first.loc[unfilled, ["air_time_min", "arr_delay_min"]] = pd.NA
    yield of_day.delivery(1, 1, first.drop(index=late), of_day.weather)
    weather = of_day.weather if of_day.rng.random() < 0.3 else None
    yield of_day.delivery(2, nights, of_day.flights.loc[sorted({*late, *unfilled})], weather)


def _delivered(frame: pd.DataFrame, names: Mapping[str, str], units: Mapping[str, str]) -> pd.DataFrame:
    """Columns under their delivered names and in the source's units, two digits where they were converted."""
    found = frame[list(names.values())].rename(columns={canonical: name for name, canonical in names.items()})
    for name in names:
        convert = _FROM_CANONICAL.get(units.get(name, ""))
        if convert is not None and units[name] != USUAL[name]:
            found[name] = convert(found[name]).round(_DIGITS)
    return found


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()


# --- files --------------------------------------------------------------------------------------------------------


def write_feeds(world: World, drawn: Mapping[str, Any], today: date, site: Site) -> dict[date, list[str]]:
    """What has come by the business date into the workspace's feeds/, and what is hidden into private/.

    private/feeds/  what comes on the nights after the business date, a folder a night with paths as below feeds/
    private/weather/<date>.json, private/arrivals/<date>.csv  forecasts, and flights of the hidden days

    Returns the paths below feeds/ that have come, by the night that found them.
    """
    first, last = today - timedelta(days=FEED_DAYS), today + timedelta(days=HIDDEN_DAYS)
    nights: dict[date, list[str]] = {}
    for delivery in deliveries(world, drawn, first, last):
        files, came = delivery.files(), delivery.night <= today
        write_files(site.workspace / "feeds" if came else site.private / "feeds" / str(delivery.night), files)
        if came:
            nights.setdefault(delivery.night, []).extend(files)
    before, after = (timedelta(days=n) for n in FORECAST_DAYS)
    since = today + timedelta(days=FORECAST_CHANGES)
    write_weather(world, drawn, site.private / "weather", today - before, today + after, since)
    hidden = world.between(today, last).flights
    for day, rows in hidden.groupby("date", sort=True):
        flights.write_csv(rows[list(flights.ARRIVAL_COLUMNS)], site.private / "arrivals" / f"{day}.csv")
    return dict(sorted(nights.items()))


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write contents by path below a folder, in their order."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_weather(
    world: World, drawn: Mapping[str, Any], folder: Path, first: date, last: date, since: date | None = None
) -> None:
    """`<date>.json` for each day as the provider answers it: {origin: {"units", "hours": {hour: {name: value}}}}.

    From the day `since` on units are others (see forecast_units).
    """
    folder.mkdir(parents=True, exist_ok=True)
    sky = world.between(first, last).weather
    for day, rows in sky.groupby("date", sort=True):
        answers = {
            str(origin): _forecast(of_origin, forecast_units(drawn, str(origin), date.fromisoformat(str(day)), since))
            for origin, of_origin in rows.groupby("origin", sort=True)
        }
        (folder / f"{day}.json").write_text(json.dumps(answers) + "\n", encoding="utf-8")


def _forecast(rows: pd.DataFrame, units: Mapping[str, str]) -> dict[str, Any]:
    delivered = _delivered(rows, {"hour": "hour", **NAMES}, units)
    hours = {
        str(int(row["hour"])): {name: None if pd.isna(row[name]) else float(row[name]) for name in NAMES}
        for row in delivered.to_dict("records")
    }
    return {"units": {name: units[name] for name in NAMES}, "hours": hours}
