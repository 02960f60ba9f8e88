"""Reads what a source delivered for a day, as its manifests say, and puts it into canonical units."""

import hashlib
import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

SOURCES = ("EWR", "JFK", "LGA")
KM_PER_MI = 1.609344
MINUTES = {"dep_delay": "dep_delay_min", "air_time": "air_time_min", "arr_delay": "arr_delay_min"}
TEXT = ("carrier", "dest", "sched_dep")
COLUMNS = {
    "flights": ["carrier", "flight", "dest", "sched_dep", "distance", *MINUTES],
    "weather": ["hour", "temp", "humid", "wind", "precip", "visib", "pressure"],
}

# Canonical name of a column, and for each unit in use its factor and what is added after it.
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
    """Delivery `number` of a source and day, in canonical units and with `date` and `origin`; a part may be absent."""

    number: int
    flights: pd.DataFrame | None = None
    weather: pd.DataFrame | None = None


def numbers(place: Path) -> list[int]:
    """The numbers of the deliveries in a folder feeds/<source>/<date>, in order."""
    return sorted(int(path.stem) for path in place.glob("*.json") if path.stem.isdecimal())


def digest(place: Path) -> str:
    """Digest of every file in a folder; it changes with whatever was delivered."""
    paths = sorted(path for path in place.iterdir() if path.is_file())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def read(place: Path, number: int) -> Delivery:
    """Read one delivery from feeds/<source>/<date>.

    Raises Refused where files, columns, numbers or units are not as promised, and whatever a broken manifest leads to.
    """
    manifest = json.loads((place / f"{number}.json").read_bytes())
    known = {"date": place.name, "origin": place.parent.name}
    parts = {name: _read(place, name, manifest[name]).assign(**known) for name in COLUMNS if name in manifest}
    return Delivery(number, **parts)


def canonical(frame: pd.DataFrame, units: dict[str, str]) -> pd.DataFrame:
    """The one place where units are converted: columns of UNITS come out under their canonical names.

    `units` is what the manifest or the forecast declares. Missing values stay missing. Raises Refused for a unit that
    is not in use.
    """
    found = {}
    for name, values in frame.items():
        target, in_use = UNITS.get(str(name), (str(name), {}))
        unit = units.get(str(name), "")
        if in_use and unit not in in_use:
            raise Refused(f"{name} comes in {unit!r}, not in one of {', '.join(in_use)}")
        factor, shift = in_use.get(unit, (1.0, 0.0))
        found[target] = values * factor + shift if in_use else values
    return pd.DataFrame(found)


def _read(place: Path, name: str, part: dict[str, Any]) -> pd.DataFrame:
    """A part of a delivery in canonical units: numbers as doubles, NaN where a value is missing."""
    path = place / Path(part["file"]).name
    if not path.is_file():
        raise Refused(f"{path.name} is missing")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != part["sha256"]:
        raise Refused(f"{path.name} has another sha256 than its manifest says")
    # Only an empty field is missing: "NA" is a carrier code like any other.
    frame = pd.read_csv(BytesIO(content), dtype=str, keep_default_na=False, na_values=[""])
    if len(frame) != part["rows"]:
        raise Refused(f"{path.name} has {len(frame)} rows where its manifest says {part['rows']}")
    if missing := [column for column in COLUMNS[name] if column not in frame]:
        raise Refused(f"{path.name} has no column {', '.join(missing)}")
    values = {column: frame[column] if column in TEXT else _doubles(frame[column]) for column in COLUMNS[name]}
    return canonical(pd.DataFrame(values), part["units"]).rename(columns=MINUTES)


def _doubles(text: pd.Series) -> pd.Series:
    values = pd.to_numeric(text, errors="coerce").astype(float)
    if (wrong := values.isna() & text.notna()).any():
        raise Refused(f"{text.name} has {text[wrong].iloc[0]!r} where a number is due")
    return values
