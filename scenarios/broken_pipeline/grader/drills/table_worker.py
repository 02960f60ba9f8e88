"""Reads a candidate's parquet files in a process of its own, with limits, and writes one plain file.

    python -I table_worker.py FOLDER OUT

FOLDER holds the files by place; OUT gets the canonical table in Arrow's IPC format, or `OUT.error` one sentence. A
parquet file can ask for any amount of memory and may crash its reader: here that ends this process only.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MEMORY = 3 * 2**30
CPU_SECONDS = 60
ROWS_AT_MOST = 2_000_000
PLAIN_BYTES_AT_MOST = 2**30
"""As the files' own metadata say; a healthy table has 75,000 rows and 10 MB."""

TEXTS = ("date", "carrier", "origin", "dest", "sched_dep")
NUMBERS = (
    "distance_mi", "dep_delay_min", "air_time_min", "arr_delay_min",
    "temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb",
)  # fmt: skip
TYPES = {
    **dict.fromkeys(TEXTS, pa.string()),
    "flight": pa.int64(),
    **dict.fromkeys(NUMBERS, pa.float64()),
}


class Unreadable(Exception):
    """A file that is no part of the table; the message is a sentence's end."""


def main(folder: Path, out: Path) -> None:
    """Read every file and write the whole."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    paths = sorted(path for path in folder.rglob("*.parquet"))
    _within_limits(paths)
    tables = [part(path, path.relative_to(folder)) for path in paths]
    whole = pa.concat_tables(tables) if tables else pa.schema(TYPES.items()).empty_table()
    with pa.OSFile(str(out), "wb") as sink, pa.ipc.new_file(sink, whole.schema) as writer:
        writer.write_table(whole)


def _within_limits(paths: list[Path]) -> None:
    rows = size = 0
    for path in paths:
        about = pq.ParquetFile(path).metadata
        rows += about.num_rows
        size += sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups))
    if rows > ROWS_AT_MOST or size > PLAIN_BYTES_AT_MOST:
        raise Unreadable(f"has {rows} rows and {size} bytes; at most {ROWS_AT_MOST} and {PLAIN_BYTES_AT_MOST} are read")


def part(path: Path, place: Path) -> pa.Table:
    """The canonical columns of one file; a column may also stand in its folder's name, as `date=2024-07-08`."""
    named = dict(step.split("=", 1) for step in place.parts[:-1] if "=" in step)
    file = pq.ParquetFile(path)
    there = set(file.schema_arrow.names)
    missing = [name for name in TYPES if name not in there and name not in named]
    if missing:
        raise Unreadable(f"has no column {', '.join(missing)} in {place}")
    read = file.read(columns=[name for name in TYPES if name in there])
    columns = [_column(read, name, named.get(name)) for name in TYPES]
    return pa.table(columns, schema=pa.schema(TYPES.items()))


def _column(read: pa.Table, name: str, named: str | None) -> Any:
    if name not in read.column_names:
        return pa.array([named] * read.num_rows, pa.string()).cast(TYPES[name])
    values = read.column(name)
    try:
        values = values.cast(TYPES[name])
    except pa.ArrowInvalid as exc:
        raise Unreadable(f"has {values.type} for {name}: {str(exc)[:80]}") from exc
    return pc.if_else(pc.is_nan(values), None, values) if name in NUMBERS else values


if __name__ == "__main__":
    result = Path(sys.argv[2])
    try:
        main(Path(sys.argv[1]), result)
    except Unreadable as exc:
        result.with_suffix(".error").write_text(str(exc), encoding="utf-8")
    except Exception as exc:  # noqa: BLE001 - whatever hinders reading is said, not raised
        result.with_suffix(".error").write_text(f"cannot be read: {type(exc).__name__}", encoding="utf-8")
