"""table/source=<source>/day=<date>/rows.parquet: a source's day after all of its accepted deliveries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from risk.base import KEY, MINUTES, ROOT, WEATHER

TABLE = ROOT / "table"
TEXTS = ["date", "carrier", "origin", "dest", "sched_dep"]
COLUMNS = [*KEY, "dest", "sched_dep", "distance_mi", *MINUTES, *WEATHER]
SCHEMA = pa.schema([(c, pa.string() if c in TEXTS else pa.int64() if c == "flight" else pa.float64()) for c in COLUMNS])


@dataclass(frozen=True)
class Delivery:
    """Canonical rows; a part that was not delivered is None."""

    flights: pd.DataFrame | None
    weather: pd.DataFrame | None


def place(source: str, day: date) -> Path:
    """Where a source's day lies."""
    return TABLE / f"source={source}" / f"day={day}" / "rows.parquet"


def merged(source: str, day: date, deliveries: Iterable[Delivery]) -> pd.DataFrame:
    """Deliveries in their order, the later row of a key in place of the earlier one, with the weather of the hour."""
    flights, weather = pd.DataFrame(), pd.DataFrame(columns=["hour", *WEATHER], dtype=float)
    for each in deliveries:
        flights = _upserted(flights, each.flights, ["carrier", "flight"])
        weather = _upserted(weather, each.weather, ["hour"])
    if flights.empty:
        return SCHEMA.empty_table().to_pandas()
    flights = flights.sort_values(["carrier", "flight"], ignore_index=True)
    hours = flights["sched_dep"].str[11:13].astype(float)
    of_hour = weather.set_index("hour").reindex(hours).reset_index(drop=True)
    named = {"date": str(day), "origin": source} | {name: flights[name.removesuffix("_min")] for name in MINUTES}
    rows = pd.concat([flights.assign(flight=flights["flight"].astype("int64"), **named), of_hour], axis=1)
    return rows[COLUMNS]


def _upserted(standing: pd.DataFrame, new: pd.DataFrame | None, key: list[str]) -> pd.DataFrame:
    if new is None or new.empty:
        return standing
    return pd.concat([standing, new], ignore_index=True).drop_duplicates(key, keep="last") if len(standing) else new


def content(rows: pd.DataFrame) -> bytes:
    """The file of rows."""
    buffer = BytesIO()
    pq.write_table(pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False), buffer)
    return buffer.getvalue()


def files() -> list[Path]:
    """All files of the table."""
    return sorted(TABLE.rglob("*.parquet"))


def rows(first: date, last: date, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """The table's rows of `first` to `last`, in the order of the key; of it and of `columns` what is wanted."""
    wanted = [name for name in COLUMNS if name in KEY or name in columns]
    parts = [pq.ParquetFile(path).read(columns=wanted) for path in files()]
    table = pa.concat_tables([SCHEMA.empty_table().select(wanted), *parts], promote_options="permissive")
    frame = table.filter((pc.field("date") >= str(first)) & (pc.field("date") <= str(last))).to_pandas()
    return frame.sort_values(KEY, ignore_index=True).astype({"flight": "int64"})
