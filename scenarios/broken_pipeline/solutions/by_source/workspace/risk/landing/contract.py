"""What a delivery must be to be landed. Schemas say ranges, nulls and keys; the rest is said here."""

import json
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pydantic import BaseModel, Field, ValidationError
from risk.landing import units

SLACK = 1e-6
FIRST_FLIGHTS = 50
MISSING = 0.30


class Refused(Exception):
    """The delivery breaks a published rule."""


class Part(BaseModel):
    """A file of a delivery."""

    file: Annotated[str, Field(pattern=r"^[^/]+$")]
    rows: int
    sha256: str
    units: dict[str, str]


class Manifest(BaseModel):
    """n.json."""

    source: str
    date: date
    delivery: int
    flights: Part | None = None
    weather: Part | None = None


@dataclass(frozen=True)
class Delivery:
    """Canonical rows; a part that was not delivered is None."""

    flights: pd.DataFrame | None
    weather: pd.DataFrame | None


def _within(low: float, high: float, nullable: bool = True) -> pa.Column:
    return pa.Column(float, pa.Check.in_range(low - SLACK, high + SLACK), nullable=nullable)


def _known(column: str) -> pa.Check:
    return pa.Check(
        lambda frame: frame[column].isna().mean() <= MISSING,
        name=f"{column}: at most 30 % missing",
    )


SCHEMAS = {
    "flights": pa.DataFrameSchema(
        {
            "carrier": pa.Column(str),
            "flight": pa.Column(float, pa.Check(lambda x: x % 1 == 0, name="whole")),
            "dest": pa.Column(str),
            "sched_dep": pa.Column(str, pa.Check.str_matches(r"^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d")),
            "distance_mi": _within(50, 6000, nullable=False),
            "dep_delay": _within(-120, 2000),
            "air_time": _within(5, 1000),
            "arr_delay": _within(-120, 2000),
        },
        unique=["carrier", "flight"],
    ),
    "weather": pa.DataFrameSchema(
        {
            "hour": pa.Column(float, pa.Check.isin(list(range(24)))),
            "temp_f": _within(-40, 130),
            "humid_pct": _within(0, 100),
            "wind_mph": _within(0, 120),
            "precip_in": _within(0, 10),
            "visib_mi": _within(0, 100),
            "pressure_mb": _within(900, 1100),
        },
        checks=[_known(column) for column in ("temp_f", "humid_pct", "wind_mph", "visib_mi")],
        unique=["hour"],
    ),
}
TEXTS = {"flights": ["carrier", "dest", "sched_dep"], "weather": []}
NUMBERS = {
    "flights": ["flight", "distance", "dep_delay", "air_time", "arr_delay"],
    "weather": ["hour", *units.PARTS["weather"]],
}


def check(folder: Path, number: int, source: str, day: date) -> Delivery:
    """Read, convert and check delivery `number` of a source's day. Raises Refused."""
    manifest = _manifest(folder / f"{number}.json")
    said = (manifest.source, manifest.date, manifest.delivery)
    if said != (source, day, number):
        raise Refused(f"the manifest is of {said[0]}, {said[1]}, delivery {said[2]}")
    flights, weather = (_part(folder, name, getattr(manifest, name), number) for name in ("flights", "weather"))
    if number == 1 and flights is not None and len(flights) < FIRST_FLIGHTS:
        raise Refused(f"a first delivery with {len(flights)} flights")
    return Delivery(flights, weather)


def _manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        where = {".".join(map(str, each["loc"])) or "all of it" for each in error.errors()}
        raise Refused(f"not as agreed in the manifest: {', '.join(sorted(where))}") from error
    except (OSError, ValueError) as error:
        raise Refused(f"the manifest cannot be read: {error}") from error


def _part(folder: Path, name: str, said: Part | None, number: int) -> pd.DataFrame | None:
    if said is None:
        if number == 1:
            raise Refused(f"the first delivery has no {name}")
        return None
    try:
        content = (folder / said.file).read_bytes()
    except OSError as error:
        raise Refused(f"{said.file} is missing") from error
    frame = _texts(content, name)
    if len(frame) != said.rows:
        raise Refused(f"{said.file} has {len(frame)} rows and not {said.rows}")
    if sha256(content).hexdigest() != said.sha256:
        raise Refused(f"{said.file} has another sha256")
    if strange := units.unknown(name, said.units):
        raise Refused(f"units not in use: {', '.join(f'{column} {said.units.get(column)}' for column in strange)}")
    return _agreed(units.converted(_numbers(frame, name), name, said.units), name)


def _texts(content: bytes, name: str) -> pd.DataFrame:
    columns = TEXTS[name] + NUMBERS[name]
    try:
        frame = pd.read_csv(BytesIO(content), dtype=str, keep_default_na=False)
    except ValueError as error:
        raise Refused(f"{name} is no table: {error}") from error
    if lacking := [column for column in columns if column not in frame]:
        raise Refused(f"{name} lacks {', '.join(lacking)}")
    return frame[columns].fillna("")


def _numbers(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    found = {}
    for column in NUMBERS[name]:
        texts = frame[column].str.strip()
        numbers = pd.to_numeric(texts.where(texts != ""), errors="coerce").astype(float)
        wrong = texts[(texts != "") & ~np.isfinite(numbers)]
        if len(wrong):
            raise Refused(f"{column}: {wrong.iloc[0][:40]!r} is no number")
        found[column] = numbers
    return frame.assign(**found)


def _agreed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    try:
        return SCHEMAS[name].validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.drop_duplicates(["column", "check"]).head(3)
        told = [f"{case.column or name} {case.check}: {case.failure_case}" for case in cases.itertuples()]
        raise Refused("; ".join(told)[:400]) from error
