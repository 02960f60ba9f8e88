"""The published rules, row by row: a delivery is read and converted whole, or refused with a reason."""

import csv
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from late.units import READINGS, UNITS

RANGES = {
    "temp": (-40, 130),
    "humid": (0, 100),
    "wind": (0, 120),
    "precip": (0, 10),
    "visib": (0, 100),
    "pressure": (900, 1100),
    "distance": (50, 6000),
    "dep_delay": (-120, 2000),
    "arr_delay": (-120, 2000),
    "air_time": (5, 1000),
}
"""In canonical units, ends included."""
SLACK = 1e-6
"""What converting a number to another unit and back may add to it."""
MINUTES = {"dep_delay": "dep_delay_min", "air_time": "air_time_min", "arr_delay": "arr_delay_min"}
COLUMNS = {
    "flights": ("carrier", "flight", "dest", "sched_dep", "distance", *MINUTES),
    "weather": ("hour", *READINGS),
}
FIRST_AT_LEAST = 50
WATCHED = ("temp", "humid", "wind", "visib")
MISSING_AT_MOST = 0.30
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
DEPARTURE = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d.*")

Row = dict[str, Any]


class Refused(Exception):
    """A delivery that breaks a rule; says which."""


@dataclass(frozen=True)
class Delivery:
    """Rows in canonical units: flights by (carrier, flight), weather by hour."""

    number: int
    flights: dict[tuple[str, int], Row]
    weather: dict[int, Row]


def numbers(folder: Path) -> list[int]:
    """The deliveries that lie in a folder, in their order."""
    return sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdigit())


def read(folder: Path, number: int) -> Delivery:
    """One delivery. Raises Refused."""
    manifest = _manifest(folder / f"{number}.json")
    flights = _part(folder, manifest, "flights", needed=number == 1)
    weather = _part(folder, manifest, "weather", needed=number == 1)
    made = Delivery(number, _flights(flights), _weather(weather))
    if number == 1 and len(made.flights) < FIRST_AT_LEAST:
        raise Refused(f"a first delivery of {len(made.flights)} flights")
    return made


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Refused(f"the manifest cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise Refused("the manifest is no object")
    return found


@dataclass(frozen=True)
class _Part:
    rows: list[Row]
    units: Mapping[str, str]


def _part(folder: Path, manifest: Mapping[str, Any], name: str, needed: bool) -> _Part | None:
    said = manifest.get(name)
    if said is None:
        if needed:
            raise Refused(f"a first delivery without {name}")
        return None
    try:
        content = (folder / Path(said["file"]).name).read_bytes()
        if hashlib.sha256(content).hexdigest() != said["sha256"]:
            raise Refused(f"the sha256 of {said['file']} is not the manifest's")
        rows = _rows(content, name)
        if len(rows) != said["rows"]:
            raise Refused(f"{said['file']} has {len(rows)} rows, the manifest says {said['rows']}")
        return _Part(rows, _units(said["units"], name))
    except OSError as error:
        raise Refused(f"{name}: the file is missing") from error
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"{name} cannot be read: {error!r}") from error


def _rows(content: bytes, name: str) -> list[Row]:
    reader = csv.DictReader(content.decode().splitlines())
    if lacking := set(COLUMNS[name]) - set(reader.fieldnames or ()):
        raise Refused(f"{name} has no column {', '.join(sorted(lacking))}")
    rows = list(reader)
    if any(row[column] is None for row in rows for column in COLUMNS[name]):
        raise Refused(f"{name} has rows that are too short")
    return rows


def _units(said: Mapping[str, str], name: str) -> Mapping[str, str]:
    units = {"humid": "%", **said}
    for column in ("distance",) if name == "flights" else tuple(READINGS):
        if units.get(column) not in UNITS[column]:
            raise Refused(f"the unit of {column} is {units.get(column)!r}")
    return units


def _number(row: Row, column: str, convert: Callable[[float], float] = float) -> float | None:
    text = row[column].strip()
    if not text:
        return None
    if not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise Refused(f"{column} {text[:40]!r} is no number")
    value = convert(float(text))
    low, high = RANGES.get(column, (-math.inf, math.inf))
    if not low - SLACK <= value <= high + SLACK:
        raise Refused(f"{column} {value:g} is not within {low} and {high}")
    return value


def _whole(row: Row, column: str) -> int:
    value = _number(row, column)
    if value is None or value != int(value):
        raise Refused(f"{column} {row[column][:40]!r} is no whole number")
    return int(value)


def _flights(part: _Part | None) -> dict[tuple[str, int], Row]:
    return _by_key(_flight_rows(part), "flight") if part else {}


def _flight_rows(part: _Part) -> Iterator[tuple[tuple[str, int], Row]]:
    miles = UNITS["distance"][part.units["distance"]]
    for row in part.rows:
        if not DEPARTURE.fullmatch(row["sched_dep"]):
            raise Refused(f"sched_dep {row['sched_dep'][:40]!r} is no time")
        distance = _number(row, "distance", miles)
        if distance is None:
            raise Refused("a flight without distance")
        key = (row["carrier"], _whole(row, "flight"))
        yield (
            key,
            {
                "carrier": key[0],
                "flight": key[1],
                "dest": row["dest"],
                "sched_dep": row["sched_dep"],
                "distance_mi": distance,
                **{ours: _number(row, theirs) for theirs, ours in MINUTES.items()},
            },
        )


def _weather(part: _Part | None) -> dict[int, Row]:
    if part is None:
        return {}
    found = _by_key(_weather_rows(part), "hour")
    for column in WATCHED:
        missing = sum(row[READINGS[column]] is None for row in found.values())
        if missing > MISSING_AT_MOST * len(found):
            raise Refused(f"{missing} of {len(found)} values of {column} are missing")
    return found


def _weather_rows(part: _Part) -> Iterator[tuple[int, Row]]:
    converts = {column: UNITS[column][part.units[column]] for column in READINGS}
    for row in part.rows:
        hour = _whole(row, "hour")
        if not 0 <= hour <= 23:
            raise Refused(f"hour {hour} is none of a day")
        yield hour, {READINGS[column]: _number(row, column, convert) for column, convert in converts.items()}


def _by_key(rows: Iterator[tuple[Any, Row]], name: str) -> dict[Any, Row]:
    found: dict[Any, Row] = {}
    for key, row in rows:
        if key in found:
            raise Refused(f"{name} {key} comes twice")
        found[key] = row
    return found
