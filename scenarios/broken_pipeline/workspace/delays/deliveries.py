"""Finds what the sources delivered, reads it as its manifest says, and puts it into canonical units."""

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

SOURCES = ("EWR", "JFK", "LGA")
KM_PER_MI = 1.609344
MINUTES = {"dep_delay": "dep_delay_min", "air_time": "air_time_min", "arr_delay": "arr_delay_min"}
FLIGHTS = ["carrier", "flight", "dest", "sched_dep", "distance", *MINUTES]
WEATHER = ["hour", "temp", "humid", "wind", "precip", "visib", "pressure"]
TEXT = ("carrier", "dest", "sched_dep")

# Canonical name of a column, and for each unit its factor and what is added after it.
UNITS: dict[str, tuple[str, dict[str, tuple[float, float]]]] = {
    "distance": ("distance_mi", {"mi": (1.0, 0.0), "km": (1 / KM_PER_MI, 0.0)}),
    "temp": ("temp_f", {"F": (1.0, 0.0), "C": (1.8, 32.0)}),
    "humid": ("humid_pct", {"%": (1.0, 0.0)}),
    "wind": ("wind_mph", {"mph": (1.0, 0.0), "m/s": (3.6 / KM_PER_MI, 0.0), "kn": (1.852 / KM_PER_MI, 0.0)}),
    "precip": ("precip_in", {"in": (1.0, 0.0), "mm": (1 / 25.4, 0.0)}),
    "visib": ("visib_mi", {"mi": (1.0, 0.0), "km": (1 / KM_PER_MI, 0.0)}),
    "pressure": ("pressure_mb", {"mb": (1.0, 0.0), "hPa": (1.0, 0.0)}),
}


class Refused(Exception):
    """A delivery is not as its manifest or the published rules say; the message is the reason."""


@dataclass(frozen=True)
class Delivery:
    """A delivery in canonical units: flights and weather, either None where the manifest has no such part."""

    source: str
    date: date
    number: int
    flights: pd.DataFrame | None
    weather: pd.DataFrame | None


def folder(feeds: Path, source: str, day: date) -> Path:
    """Where a source delivers for a day."""
    return feeds / source / str(day)


def numbers(place: Path) -> list[int]:
    """The numbers of the deliveries in a folder, in order."""
    return sorted(int(path.stem) for path in place.glob("*.json") if path.stem.isdecimal())


def digest(place: Path) -> str:
    """Digest of every file in a folder; it changes with whatever was delivered."""
    found = hashlib.sha256()
    for path in sorted(place.iterdir()):
        content = path.read_bytes()
        found.update(f"{path.name} {len(content)}\n".encode() + content)
    return found.hexdigest()


def read(feeds: Path, source: str, day: date, number: int) -> Delivery:
    """Read one delivery; its frames carry `date` and `origin`, too.

    Raises Refused where files, columns, numbers or units are not as promised, and whatever a broken manifest leads to.
    """
    place = folder(feeds, source, day)
    manifest = json.loads((place / f"{number}.json").read_bytes())
    parts = {}
    for name, columns in (("flights", FLIGHTS), ("weather", WEATHER)):
        if name in manifest:
            parts[name] = _read(place, manifest[name], columns).assign(date=str(day), origin=source)
    return Delivery(source, day, number, parts.get("flights"), parts.get("weather"))


def canonical(frame: pd.DataFrame, units: dict[str, str]) -> pd.DataFrame:
    """The one place where units are converted: columns of UNITS come out under their canonical names.

    `units` is what the manifest or the forecast declares. Missing values stay missing. Raises Refused for a unit that
    is not in use.
    """
    found = {}
    for name, values in frame.items():
        target, known = UNITS.get(str(name), (str(name), {}))
        if known and units.get(str(name)) not in known:
            raise Refused(f"{name} comes in {units.get(str(name))!r}, not in one of {', '.join(known)}")
        factor, shift = known[units[str(name)]] if known else (1.0, 0.0)
        found[target] = values * factor + shift if known else values
    return pd.DataFrame(found)


def _read(place: Path, part: dict[str, Any], columns: list[str]) -> pd.DataFrame:
    """A part of a delivery: the columns in canonical units, numbers as doubles, NaN where a value is missing."""
    path = place / Path(part["file"]).name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path.name} is missing") from error
    if hashlib.sha256(content).hexdigest() != part["sha256"]:
        raise Refused(f"{path.name} has another sha256 than its manifest says")
    # Only an empty field is missing: "NA" is a carrier code like any other.
    frame = pd.read_csv(BytesIO(content), dtype=str, keep_default_na=False, na_values=[""])
    if len(frame) != part["rows"]:
        raise Refused(f"{path.name} has {len(frame)} rows where its manifest says {part['rows']}")
    if missing := [name for name in columns if name not in frame]:
        raise Refused(f"{path.name} has no column {', '.join(missing)}")
    known = {name: frame[name] if name in TEXT else _numbers(frame[name]) for name in columns}
    return canonical(pd.DataFrame(known), part["units"]).rename(columns=MINUTES)


def _numbers(text: pd.Series) -> pd.Series:
    values = pd.to_numeric(text, errors="coerce").astype(float)
    if (wrong := values.isna() & text.notna()).any():
        raise Refused(f"{text.name} has {text[wrong].iloc[0]!r} where a number is due")
    return values
