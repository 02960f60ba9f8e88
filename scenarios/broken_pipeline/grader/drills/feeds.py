"""Deliveries as the sources make them: read and judged by the published rules, and written with their manifest.

Independent of any workspace: what the grader says is right about a table begins here. Only the grader's own bytes are
read, never a candidate's.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

SOURCES = ("EWR", "JFK", "LGA")
Files = dict[str, bytes]
"""Contents by path in the workspace: feeds/<source>/<date>/…"""

WEATHER = {
    "temp": "temp_f",
    "humid": "humid_pct",
    "wind": "wind_mph",
    "precip": "precip_in",
    "visib": "visib_mi",
    "pressure": "pressure_mb",
}
MEASURED = {
    "distance": "distance_mi",
    "dep_delay": "dep_delay_min",
    "air_time": "air_time_min",
    "arr_delay": "arr_delay_min",
}
TEXTS = ("carrier", "dest", "sched_dep")
COLUMNS = {
    "flights": ("carrier", "flight", "dest", "sched_dep", *MEASURED),
    "weather": ("hour", *WEATHER),
}
KEYS = {"flights": ["carrier", "flight"], "weather": ["hour"]}

USUAL = {"distance": "mi", "temp": "F", "humid": "%", "wind": "mph", "precip": "in", "visib": "mi", "pressure": "mb"}

_Convert = Callable[[pd.Series], pd.Series]
_TO_CANONICAL: Mapping[str, _Convert] = {
    "C": lambda x: x * 1.8 + 32,
    "m/s": lambda x: x * 3600 / 1609.344,
    "kn": lambda x: x * 1852 / 1609.344,
    "km": lambda x: x / 1.609344,
    "mm": lambda x: x / 25.4,
    **dict.fromkeys(("F", "mph", "mi", "in", "mb", "hPa", "%"), lambda x: x),
}
_FROM_CANONICAL: Mapping[str, _Convert] = {
    "C": lambda x: (x - 32) / 1.8,
    "m/s": lambda x: x * 1609.344 / 3600,
    "kn": lambda x: x * 1609.344 / 1852,
    "km": lambda x: x * 1.609344,
    "mm": lambda x: x * 25.4,
    **dict.fromkeys(("F", "mph", "mi", "in", "mb", "hPa", "%"), lambda x: x),
}
_UNITS_OF = {
    "temp": ("F", "C"),
    "wind": ("mph", "m/s", "kn"),
    "distance": ("mi", "km"),
    "visib": ("mi", "km"),
    "precip": ("in", "mm"),
    "pressure": ("mb", "hPa"),
    "humid": ("%",),
}
DIGITS = 2
"""Of what is converted before it is delivered: 0.009 °F, 0.01 mph, 0.003 mi at most."""

RANGES = {
    "temp_f": (-40, 130),
    "humid_pct": (0, 100),
    "wind_mph": (0, 120),
    "precip_in": (0, 10),
    "visib_mi": (0, 100),
    "pressure_mb": (900, 1100),
    "distance_mi": (50, 6000),
    "dep_delay_min": (-120, 2000),
    "arr_delay_min": (-120, 2000),
    "air_time_min": (5, 1000),
}
SLACK = 1e-6
FIRST_AT_LEAST = 50
MISSING_AT_MOST = 0.30
WATCHED = ("temp_f", "humid_pct", "wind_mph", "visib_mi")

_CANONICAL_NAMES = WEATHER | MEASURED
_TYPES: dict[Hashable, Any] = {
    **dict.fromkeys(TEXTS, object),
    **dict.fromkeys(("flight", "hour"), "int64"),
    **dict.fromkeys(_CANONICAL_NAMES, "float64"),
}
_MANIFEST = re.compile(r"feeds/([A-Z]{3})/(\d{4}-\d\d-\d\d)/(\d+)\.json")


@dataclass(frozen=True)
class Delivery:
    """One delivery in canonical units; a part is None where the manifest has none. `units` are the source's.

    flights  carrier, flight (int), dest, sched_dep and the columns of MEASURED, doubles
    weather  hour (int) and the columns of WEATHER, doubles
    refused  the published rule that it breaks, "" for one that may land
    """

    source: str
    day: date
    number: int
    flights: pd.DataFrame | None
    weather: pd.DataFrame | None
    units: Mapping[str, str] = field(default_factory=lambda: dict(USUAL))
    refused: str = ""

    @property
    def folder(self) -> str:
        """Its folder in the workspace."""
        return f"feeds/{self.source}/{self.day}"


class Broken(Exception):
    """A delivery that breaks a published rule; says which."""


# --- reading ----------------------------------------------------------------------------------------------------------


def manifests(files: Mapping[str, bytes]) -> list[tuple[str, date, int]]:
    """Source, day and number of every manifest, sorted: deliveries of a day in their order."""
    found = [match.groups() for path in files if (match := _MANIFEST.fullmatch(path))]
    return sorted((source, date.fromisoformat(day), int(number)) for source, day, number in found)


def read(files: Mapping[str, bytes], source: str, day: date, number: int) -> Delivery:
    """One delivery; where it breaks a rule, `refused` says which and both parts are None."""
    folder = f"feeds/{source}/{day}"
    said = json.loads(files[f"{folder}/{number}.json"])
    try:
        parts = {name: _part(files, folder, said[name], name) for name in COLUMNS if name in said}
        if number == 1 and len(parts) < len(COLUMNS):
            raise Broken("a first delivery lacks a part")
        if number == 1 and len(parts["flights"]) < FIRST_AT_LEAST:
            raise Broken(f"a first delivery of {len(parts['flights'])} flights")
    except Broken as exc:
        return Delivery(source, day, number, None, None, refused=str(exc))
    units = {**USUAL, **{column: unit for name in parts for column, unit in said[name]["units"].items()}}
    return Delivery(source, day, number, parts.get("flights"), parts.get("weather"), units)


def _part(files: Mapping[str, bytes], folder: str, said: Mapping[str, Any], name: str) -> pd.DataFrame:
    content = files.get(f"{folder}/{said['file']}")
    if content is None:
        raise Broken(f"{said['file']} is missing")
    if hashlib.sha256(content).hexdigest() != said["sha256"]:
        raise Broken(f"{said['file']} has another sha256")
    try:
        raw = pd.read_csv(io.BytesIO(content), dtype=_TYPES, keep_default_na=False, na_values=[""])
    except ValueError as exc:
        raise Broken(f"a value of {said['file']} is no number: {exc}") from exc
    if len(raw) != said["rows"]:
        raise Broken(f"{said['file']} has {len(raw)} rows, not {said['rows']}")
    missing = [column for column in COLUMNS[name] if column not in raw.columns]
    if missing:
        raise Broken(f"{said['file']} has no column {missing[0]}")
    frame = _canonical(raw, COLUMNS[name], said["units"])
    if frame.duplicated(KEYS[name]).any():
        raise Broken(f"a key comes twice in {said['file']}")
    _in_range(frame)
    return frame


def _canonical(raw: pd.DataFrame, columns: Sequence[str], units: Mapping[str, str]) -> pd.DataFrame:
    found = {}
    for column in columns:
        values = raw[column]
        if column in _UNITS_OF and units.get(column) not in _UNITS_OF[column]:
            raise Broken(f"{column} comes in {units.get(column)!r}")
        if column in _UNITS_OF and units[column] != USUAL[column]:
            values = _TO_CANONICAL[units[column]](values)
        found[_CANONICAL_NAMES.get(column, column)] = values
    return pd.DataFrame(found)


def _in_range(frame: pd.DataFrame) -> None:
    for column in frame.columns:
        if column not in RANGES:
            continue
        values = frame[column].to_numpy()
        at_least, at_most = RANGES[column]
        if ((values < at_least - SLACK) | (values > at_most + SLACK)).any():
            raise Broken(f"a {column} is out of range")
        share = np.isnan(values).mean()
        if column in WATCHED and share > MISSING_AT_MOST:
            raise Broken(f"{share:.0%} of {column} are missing")


# --- writing ----------------------------------------------------------------------------------------------------------


def written(delivery: Delivery) -> Files:
    """The files of a delivery in its units; the manifest comes last."""
    said: dict[str, Any] = {
        "source": delivery.source,
        "date": str(delivery.day),
        "delivery": delivery.number,
    }
    files: Files = {}
    for name, frame in (("flights", delivery.flights), ("weather", delivery.weather)):
        if frame is None:
            continue
        content = _delivered(frame, delivery.units).to_csv(index=False, lineterminator="\n").encode()
        file = f"{delivery.number}.{name}.csv"
        files[f"{delivery.folder}/{file}"] = content
        units = {column: delivery.units[column] for column in COLUMNS[name] if column in _UNITS_OF}
        digest = hashlib.sha256(content).hexdigest()
        said[name] = {"file": file, "rows": len(frame), "sha256": digest, "units": units}
    files[f"{delivery.folder}/{delivery.number}.json"] = manifest(said)
    return files


def manifest(said: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest."""
    return (json.dumps(said, indent=1) + "\n").encode()


def _delivered(frame: pd.DataFrame, units: Mapping[str, str]) -> pd.DataFrame:
    found: dict[str, pd.Series] = {}
    for name in COLUMNS["weather" if "hour" in frame else "flights"]:
        values = frame[WEATHER.get(name) or MEASURED.get(name, name)]
        if name in _UNITS_OF:
            digits = DIGITS if units[name] != USUAL[name] else 4
            values = _FROM_CANONICAL[units[name]](values).round(digits)
        elif name in MEASURED:
            values = values.astype("Int64")
        found[name] = values
    return pd.DataFrame(found)


def forecasts(raw: Mapping[str, Any]) -> pd.DataFrame:
    """One airport's forecast of a day as the provider gives it: canonical columns of WEATHER by hour (the index)."""
    hours = {int(hour): values for hour, values in raw["hours"].items()}
    frame = pd.DataFrame({name: [values[name] for values in hours.values()] for name in WEATHER}, index=list(hours))
    units = {**USUAL, **raw["units"]}
    return pd.DataFrame(
        {WEATHER[name]: _TO_CANONICAL[units[name]](frame[name].astype(float)) for name in WEATHER}, index=frame.index
    )
