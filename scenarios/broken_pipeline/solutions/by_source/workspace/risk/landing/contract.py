"""What a delivery must be to be landed. Schemas say ranges, nulls and keys; the rest is said here."""

import json
from collections.abc import Sequence
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
from risk.landing.partitions import Delivery

SLACK = 1e-6
FIRST_FLIGHTS = 50
MISSING = 0.30
WATCHED = ["temp_f", "humid_pct", "wind_mph", "visib_mi"]
ID = "of"
"""Column that says whose rows are whose while many deliveries are checked at once."""


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


def _within(low: float, high: float, nullable: bool = True) -> pa.Column:
    return pa.Column(float, pa.Check.in_range(low - SLACK, high + SLACK), nullable=nullable)


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
        unique=[ID, "carrier", "flight"],
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
        unique=[ID, "hour"],
    ),
}
TEXTS = {"flights": ["carrier", "dest", "sched_dep"], "weather": []}
NUMBERS = {
    "flights": ["flight", "distance", "dep_delay", "air_time", "arr_delay"],
    "weather": ["hour", *units.PARTS["weather"]],
}


@dataclass(frozen=True)
class Question:
    """Delivery `number` of a source's day, in its folder."""

    folder: Path
    number: int
    source: str
    day: date


def check(questions: Sequence[Question]) -> list[Delivery | Refused]:
    """A verdict on each: its rows, or why not. Schemas look at all of them in one go, for that takes as long as one."""
    found = [_read(question) for question in questions]
    for name in SCHEMAS:
        parts = {n: each[name] for n, each in enumerate(found) if isinstance(each, dict) and each[name] is not None}
        for n, reason in _disagreements(parts, name).items():
            found[n] = Refused(reason)
    return [each if isinstance(each, Refused) else Delivery(**each) for each in found]


def _read(question: Question) -> dict[str, pd.DataFrame | None] | Refused:
    try:
        return _parts(question)
    except Refused as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one delivery, the others go on
        return Refused(f"cannot be read: {error!r}")


def _parts(question: Question) -> dict[str, pd.DataFrame | None]:
    folder, number = question.folder, question.number
    manifest = _manifest(folder / f"{number}.json")
    said = (manifest.source, manifest.date, manifest.delivery)
    if said != (question.source, question.day, number):
        raise Refused(f"the manifest is of {said[0]}, {said[1]}, delivery {said[2]}")
    parts = {name: _part(folder, name, getattr(manifest, name), number) for name in SCHEMAS}
    if number == 1 and len(parts["flights"]) < FIRST_FLIGHTS:
        raise Refused(f"a first delivery with {len(parts['flights'])} flights")
    return parts


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
    frame = _table(content, name)
    if len(frame) != said.rows:
        raise Refused(f"{said.file} has {len(frame)} rows and not {said.rows}")
    if sha256(content).hexdigest() != said.sha256:
        raise Refused(f"{said.file} has another sha256")
    if strange := units.unknown(name, said.units):
        raise Refused(f"units not in use: {', '.join(f'{column} {said.units.get(column)}' for column in strange)}")
    return units.converted(frame, name, said.units)


def _table(content: bytes, name: str) -> pd.DataFrame:
    columns, numbers = TEXTS[name] + NUMBERS[name], NUMBERS[name]
    kinds = dict.fromkeys(TEXTS[name], str) | dict.fromkeys(numbers, float)
    empty = {column: [""] for column in numbers}
    try:
        frame = pd.read_csv(BytesIO(content), dtype=kinds, keep_default_na=False, na_values=empty)
    except ValueError as error:
        raise Refused(f"{name} cannot be read as texts and numbers: {error}") from error
    if lacking := [column for column in columns if column not in frame]:
        raise Refused(f"{name} lacks {', '.join(lacking)}")
    if infinite := [column for column in numbers if np.isinf(frame[column].to_numpy()).any()]:
        raise Refused(f"{infinite[0]} is no number")
    return frame[columns]


def _disagreements(parts: dict[int, pd.DataFrame], name: str) -> dict[int, str]:
    """By delivery what its schema or the share of missing values says against it."""
    if not parts:
        return {}
    frame = pd.concat([part.assign(**{ID: n}) for n, part in parts.items()], ignore_index=True)
    told = _failures(frame, name)
    if name == "weather":
        missing = frame[WATCHED].isna().groupby(frame[ID]).mean()
        for n, shares in missing[(missing > MISSING).any(axis=1)].iterrows():
            worst = shares.idxmax()
            told.setdefault(int(n), f"{shares[worst]:.0%} of {worst} are missing")
    return told


def _failures(frame: pd.DataFrame, name: str) -> dict[int, str]:
    try:
        SCHEMAS[name].validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.dropna(subset=["index"])
        of = frame[ID].loc[cases["index"].astype(int)]
        texts = [f"{case.column or name} {case.check}: {case.failure_case}" for case in cases.itertuples()]
        return dict(zip(of[::-1], texts[::-1], strict=True))
    return {}
