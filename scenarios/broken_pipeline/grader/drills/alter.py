"""Changes to deliveries: other units, twice the flights, rows anew, missing values, wrong distances, broken rules.

Every function returns a new delivery and leaves the one it was given; randomness is the caller's generator.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pandas as pd

from .feeds import Delivery, Files, manifest, written

NUMBERS_BELOW = 9973
LATE, ON_TIME = (75, 190), (-12, 20)
"""Minutes of arrival that relabelled flights get: clearly late, clearly not."""


def in_units(delivery: Delivery, units: Mapping[str, str]) -> Delivery:
    """The same values, delivered in other units."""
    return replace(delivery, units={**delivery.units, **units})


def at_offset(delivery: Delivery, offset: str) -> Delivery:
    """The same times as written, at another offset."""
    flights = _flights(delivery)
    return replace(delivery, flights=flights.assign(sched_dep=flights["sched_dep"].str[: -len(offset)] + offset))


def colder(delivery: Delivery, warmest_f: float) -> Delivery:
    """A day of the same course whose warmest hour has so many degrees Fahrenheit."""
    sky = _weather(delivery)
    return replace(delivery, weather=sky.assign(temp_f=sky["temp_f"] - (sky["temp_f"].max() - warmest_f)))


def doubled(delivery: Delivery, rng: random.Random) -> Delivery:
    """Every flight once more under another number."""
    flights = _flights(delivery)
    return replace(delivery, flights=pd.concat([flights, _renumbered(flights, flights, rng)], ignore_index=True))


def _renumbered(flights: pd.DataFrame, known: pd.DataFrame, rng: random.Random) -> pd.DataFrame:
    """The flights under numbers that their carrier does not have in `known`."""
    taken = set(zip(known["carrier"], known["flight"], strict=True))
    numbers = []
    for carrier in flights["carrier"]:
        number = rng.randrange(1, NUMBERS_BELOW)
        while (carrier, number) in taken:
            number = rng.randrange(1, NUMBERS_BELOW)
        taken.add((carrier, number))
        numbers.append(number)
    return flights.assign(flight=numbers)


def repeated(first: Delivery, second: Delivery, rng: random.Random) -> tuple[Delivery, tuple[str, int]]:
    """Give a flight of `second` the number of a flight of the same carrier in `first`; returns carrier and number."""
    ours, theirs = _flights(first), _flights(second)
    taken = set(zip(theirs["carrier"], theirs["flight"], strict=True))
    free = ours[[key not in taken for key in zip(ours["carrier"], ours["flight"], strict=True)]]
    free = free[free["carrier"].isin(theirs["carrier"])].sort_values(["carrier", "flight"], ignore_index=True)
    chosen = free.iloc[rng.randrange(len(free))]
    place = rng.choice(list(theirs.index[theirs["carrier"] == chosen["carrier"]]))
    theirs.loc[place, "flight"] = chosen["flight"]
    return replace(second, flights=theirs), (str(chosen["carrier"]), int(chosen["flight"]))


def relabelled(delivery: Delivery, number: int, share: float, rng: random.Random) -> Delivery:
    """A later delivery of a day: a share of its flights that arrived, late where they were not and the reverse."""
    flights = _flights(delivery)
    arrived = flights[flights["arr_delay_min"].notna()].reset_index(drop=True)
    chosen = arrived.loc[sorted(rng.sample(range(len(arrived)), round(share * len(arrived))))]
    minutes = [float(rng.randint(*(ON_TIME if was > 60 else LATE))) for was in chosen["arr_delay_min"]]
    return replace(delivery, number=number, flights=chosen.assign(arr_delay_min=minutes), weather=None)


def taken_back(standing: Delivery, anew: Delivery) -> Delivery:
    """A delivery after `anew` with the rows that it changed as they were `standing` before."""
    flights, changed = _flights(standing), _flights(anew)
    keys = set(zip(changed["carrier"], changed["flight"], strict=True))
    were = flights[[key in keys for key in zip(flights["carrier"], flights["flight"], strict=True)]]
    return replace(anew, number=anew.number + 1, flights=were.reset_index(drop=True))


def with_late_rows(delivery: Delivery, known: pd.DataFrame, count: int, rng: random.Random) -> Delivery:
    """A later delivery with `count` flights more, under numbers that the day's `known` flights do not have."""
    like = known.loc[rng.sample(list(known.index), count)]
    more = _renumbered(like, known, rng)[list(_flights(delivery).columns)]
    return replace(delivery, flights=pd.concat([_flights(delivery), more], ignore_index=True))


def missing(delivery: Delivery, column: str, hours: int, rng: random.Random) -> Delivery:
    """So many hours of the day lack a weather column, those that lacked it before among them."""
    sky = _weather(delivery)
    lacking = int(sky[column].isna().sum())
    known = list(sky.index[sky[column].notna()])
    sky.loc[rng.sample(known, max(0, hours - lacking)), column] = float("nan")
    return replace(delivery, weather=sky)


def of_routes(delivery: Delivery, number: int, dests: Iterable[str], factor: float) -> Delivery:
    """A later delivery with the flights to some destinations, their distances times `factor`."""
    flights = _flights(delivery)
    chosen = flights[flights["dest"].isin(list(dests))]
    changed = chosen.assign(distance_mi=(chosen["distance_mi"] * factor).round(1))
    return replace(delivery, number=number, flights=changed.reset_index(drop=True), weather=None)


def at_distance(delivery: Delivery, dest: str, factor: float) -> Delivery:
    """All flights to a destination have another distance."""
    flights = _flights(delivery)
    changed = (flights["distance_mi"] * factor).round(1)
    return replace(
        delivery, flights=flights.assign(distance_mi=flights["distance_mi"].mask(flights["dest"] == dest, changed))
    )


def without_route(delivery: Delivery, dest: str) -> Delivery:
    """Without the flights to a destination."""
    flights = _flights(delivery)
    return replace(delivery, flights=flights[flights["dest"] != dest].reset_index(drop=True))


def _flights(delivery: Delivery) -> pd.DataFrame:
    if delivery.flights is None:
        raise ValueError(f"delivery {delivery.number} of {delivery.folder} has no flights")
    return delivery.flights.copy()


def _weather(delivery: Delivery) -> pd.DataFrame:
    if delivery.weather is None:
        raise ValueError(f"delivery {delivery.number} of {delivery.folder} has no weather")
    return delivery.weather.copy()


# --- broken rules -----------------------------------------------------------------------------------------------------


def _value(part: str, column: str, value: float) -> Callable[[Delivery], Files]:
    def broken(delivery: Delivery) -> Files:
        frame = _flights(delivery) if part == "flights" else _weather(delivery)
        frame.loc[frame.index[len(frame) // 2], column] = value
        changed = replace(delivery, flights=frame) if part == "flights" else replace(delivery, weather=frame)
        return written(changed)

    return broken


def _said(part: str, change: Callable[[dict[str, object]], dict[str, object]]) -> Callable[[Delivery], Files]:
    """A manifest that says something else of a part."""

    def broken(delivery: Delivery) -> Files:
        files = written(delivery)
        place = f"{delivery.folder}/{delivery.number}.json"
        said = json.loads(files[place])
        files[place] = manifest({**said, part: {**said[part], **change(said[part])}})
        return files

    return broken


def _key_twice(delivery: Delivery) -> Files:
    flights = _flights(delivery)
    again = flights.iloc[[3]].assign(dep_delay_min=float("nan"))
    return written(replace(delivery, flights=pd.concat([flights, again], ignore_index=True)))


def _rows(said: dict[str, object]) -> dict[str, object]:
    return {"rows": int(str(said["rows"])) + 9}


def _digest(said: dict[str, object]) -> dict[str, object]:
    return {"sha256": str(said["sha256"])[::-1]}


def _units(said: dict[str, object]) -> dict[str, object]:
    return {"units": {**dict(said["units"]), "temp": "K"}}  # type: ignore[call-overload]


TOO_FAR = "a distance of 7000 mi"
"""Refused by the published range, and landed by one that lets Honolulu pass in kilometres."""

POISONS: Mapping[str, Callable[[Delivery], Files]] = {
    "rows are not the manifest's": _said("flights", _rows),
    "sha256 is not the manifest's": _said("weather", _digest),
    "a unit that is none": _said("weather", _units),
    "a key twice": _key_twice,
    "a humidity of 140 %": _value("weather", "humid_pct", 140.0),
    "a pressure of 520 mb": _value("weather", "pressure_mb", 520.0),
    "a wind of 300 mph": _value("weather", "wind_mph", 300.0),
    "a distance of 9000 mi": _value("flights", "distance_mi", 9000.0),
    "an arrival 4000 minutes late": _value("flights", "arr_delay_min", 4000.0),
    TOO_FAR: _value("flights", "distance_mi", 7000.0),
}
FILES = list(POISONS)[:4]
VALUES = [rule for rule in POISONS if rule not in (*FILES, TOO_FAR)]
"""Rules about files and keys, and rules about values: a tick breaks one of each."""
