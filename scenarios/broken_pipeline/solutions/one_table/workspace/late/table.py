"""The canonical table: one file, made anew each night from all deliveries that keep the rules.

Nothing is remembered but what was refused: feeds are the truth, so late rows, mended deliveries and a table that
somebody spoilt need no care of their own.
"""

import io
import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from late import contract
from late.places import DAY, FEEDS, LATE_MIN, QUARANTINE, SOURCES, TABLE, WEATHER, alert, put, put_json, say

DAYS = 90
FILE = TABLE / "everything.parquet"
TEXTS = ("date", "carrier", "origin", "dest", "sched_dep")
MINUTES = tuple(contract.MINUTES.values())
ORDER = ("date", "carrier", "flight", "origin", "dest", "sched_dep", "distance_mi", *MINUTES, *WEATHER)
SCHEMA = pa.schema(
    [(name, pa.string() if name in TEXTS else pa.int64() if name == "flight" else pa.float64()) for name in ORDER]
)
KEY = ["date", "origin", "carrier", "flight"]


@dataclass
class Landed:
    """What a night's landing found: for D-1 the sources with an accepted delivery, and those refused till now."""

    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    rows: int = 0


def rebuild(today: date) -> Landed:
    """Make the table anew from the deliveries of D-90 to D-1, and note what was refused and released."""
    landed, rows = Landed(), []
    for before in range(DAYS, 0, -1):
        for source in SOURCES:
            day = today - before * DAY
            found, last_refused = _source_day(source, day, today)
            rows += _joined(source, day, found)
            if before == 1 and found:
                landed.accepted.add(source)
            if before == 1 and last_refused > max((each.number for each in found), default=0):
                landed.refused.add(source)
    landed.rows = len(rows)
    _write(rows)
    say("landed", rows=landed.rows, accepted=sorted(landed.accepted), refused=sorted(landed.refused))
    return landed


def _source_day(source: str, day: date, today: date) -> tuple[list[contract.Delivery], int]:
    """The accepted deliveries, and the number of the last one refused (0: none)."""
    folder, accepted, refused = FEEDS / source / str(day), [], {}
    for number in contract.numbers(folder):
        try:
            accepted.append(contract.read(folder, number))
        except contract.Refused as error:
            refused[number] = str(error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one source, the others land
            refused[number] = f"cannot be read: {error!r}"
    if not refused:
        return accepted, 0
    last = max(refused)
    released = any(each.number > last for each in accepted)
    _note(source, day, last, refused[last], today if released else None)
    return accepted, last


def _note(source: str, day: date, number: int, reason: str, released: date | None) -> None:
    """Write down a refusal; the first time it is an alert. A day of release that was noted before stays."""
    path = QUARANTINE / source / f"{day}.json"
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        known = {}
    if known.get("delivery") != number:
        alert("source_quarantined", source, f"delivery {number} of {day}: {reason}")
        known = {}
    when = (known.get("released") or str(released)) if released else None
    said = {"source": source, "date": str(day), "delivery": number, "reason": reason, "released": when}
    put_json(path, said)


def _joined(source: str, day: date, deliveries: list[contract.Delivery]) -> list[dict[str, Any]]:
    flights: dict[Any, dict[str, Any]] = {}
    weather: dict[int, dict[str, Any]] = {}
    for each in deliveries:
        flights |= each.flights
        weather |= each.weather
    keyed = {"date": str(day), "origin": source}
    return [{**keyed, **row, **weather.get(int(row["sched_dep"][11:13]), {})} for row in flights.values()]


def _write(rows: list[dict[str, Any]]) -> None:
    rows.sort(key=lambda row: tuple(row[name] for name in KEY))
    columns = {name: [row.get(name) for row in rows] for name in ORDER}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=SCHEMA), buffer)
    put(FILE, buffer.getvalue())
    for path in TABLE.rglob("*.parquet"):
        if path != FILE:
            path.unlink()


def read(first: date | None = None, last: date | None = None) -> pd.DataFrame:
    """The table's rows of the days `first` to `last`, in the order of their keys."""
    frames = [pq.read_table(path, columns=list(ORDER), partitioning=None).to_pandas() for path in _files()]
    frame = pd.concat(frames, ignore_index=True) if frames else SCHEMA.empty_table().to_pandas()
    if first is not None:
        frame = frame[frame["date"] >= str(first)]
    if last is not None:
        frame = frame[frame["date"] <= str(last)]
    return frame.sort_values(KEY, ignore_index=True)


def arrived(frame: pd.DataFrame) -> pd.DataFrame:
    """The flights that arrived, with `late` 1.0 or 0.0."""
    frame = frame[frame["arr_delay_min"].notna()]
    return frame.assign(late=(frame["arr_delay_min"] > LATE_MIN).astype(float))


def mark() -> tuple[Any, ...]:
    """Changes when the table does."""
    found = []
    for path in _files():
        about = path.stat()
        found.append((str(path), about.st_mtime_ns, about.st_size))
    return tuple(found)


def _files() -> list[Any]:
    return sorted(path for path in TABLE.rglob("*.parquet") if not path.name.startswith("."))
