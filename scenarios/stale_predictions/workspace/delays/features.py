"""Trailing late rates of carriers and origins, and the daily partitions that hold them."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

import pandas as pd
from delays import feeds

WINDOW_DAYS = 14
VALID_DAYS = 3
FOLDER = re.compile(r"date=(\d{4})-(\d{1,2})-(\d{1,2})")


@dataclass(frozen=True)
class Partition:
    """A complete partition: rates by key ("carrier:XX", "origin:JFK") and the digest of its file."""

    date: date
    rates: dict[str, float]
    sha256: str


def rates_by_day(arrivals: pd.DataFrame) -> pd.DataFrame:
    """Trailing rates of every day of `arrivals` (columns date, carrier, origin, late).

    Returns date, key, late_rate, flights: over the arrived flights of the WINDOW_DAYS days up to and including
    `date`. A key without an arrived flight in that time has no row.
    """
    arrived = arrivals.dropna(subset=["late"])
    keys = pd.concat([name + ":" + arrived[name] for name in ("carrier", "origin")])
    each = pd.DataFrame({"key": keys.to_numpy(), "date": [*arrived["date"]] * 2, "late": [*arrived["late"]] * 2})
    daily = each.groupby(["date", "key"])["late"].agg(["sum", "count"]).unstack(fill_value=0.0)
    calendar = pd.date_range(daily.index.min(), arrivals["date"].max()).date
    trailing = daily.reindex(calendar, fill_value=0.0).rolling(WINDOW_DAYS, min_periods=1).sum()
    table = trailing.stack(future_stack=True).rename_axis(["date", "key"]).reset_index()
    table = table[table["count"] > 0]
    rates = table.assign(late_rate=table["sum"] / table["count"], flights=table["count"].astype(int))
    return rates[["date", "key", "late_rate", "flights"]].reset_index(drop=True)


def trailing_rates(root: Path, day: date) -> pd.DataFrame:
    """The partition of `day`: columns key, late_rate, flights, sorted by key."""
    first = day - timedelta(days=WINDOW_DAYS - 1)
    rates = rates_by_day(feeds.read_days(feeds.read_arrivals, root, first, day, missing_at_most=3))
    return rates[rates["date"] == day].sort_values("key")[["key", "late_rate", "flights"]].reset_index(drop=True)


def write_partition(root: Path, day: date, frame: pd.DataFrame) -> Path:
    """Write the partition of `day`, its completeness marker last. One that already says the same stays untouched."""
    folder = root / "features" / f"date={day.isoformat()}"
    content = frame.to_csv(index=False, lineterminator="\n").encode()
    digest = hashlib.sha256(content).hexdigest()
    standing = read_partition(folder, day)
    if standing is not None and standing.sha256 == digest:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_SUCCESS.json").unlink(missing_ok=True)
    _replace(folder / "part.csv", content)
    _replace(folder / "_SUCCESS.json", json.dumps({"rows": len(frame), "sha256": digest}).encode())
    return folder


def read_partition(folder: Path, day: date) -> Partition | None:
    """The partition in a folder, or None when it is not complete: no marker, or one that is not true."""
    try:
        content = (folder / "part.csv").read_bytes()
        marker = json.loads((folder / "_SUCCESS.json").read_bytes())
        digest = hashlib.sha256(content).hexdigest()
        types = {"key": str, "late_rate": float}
        frame = pd.read_csv(BytesIO(content), dtype=types, keep_default_na=False, float_precision="round_trip")
        if marker["sha256"] != digest or marker["rows"] != len(frame):
            return None
        return Partition(day, dict(zip(frame["key"], frame["late_rate"], strict=True)), digest)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def newest_valid(root: Path, business_date: date) -> Partition | None:
    """The newest complete partition dated D-1 to D-VALID_DAYS, or None: features are expired."""
    oldest = business_date - timedelta(days=VALID_DAYS)
    dated = [(day, folder) for day, folder in _folders(root) if oldest <= day < business_date]
    for day, folder in sorted(dated, reverse=True):
        partition = read_partition(folder, day)
        if partition is not None:
            return partition
    return None


def _folders(root: Path) -> Iterator[tuple[date, Path]]:
    """Partition folders with the dates in their names."""
    for folder in (root / "features").glob("date=*"):
        if match := FOLDER.fullmatch(folder.name):
            with suppress(ValueError):  # no day of the calendar
                yield date(*map(int, match.groups())), folder


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file and move it there, so that no reader sees half of it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(content)
    aside.replace(path)
