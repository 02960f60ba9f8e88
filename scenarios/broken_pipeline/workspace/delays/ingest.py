"""Lands deliveries in the canonical table: each source and day for itself, the newest row of each key."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from delays import deliveries
from delays.config import Settings, alert, log, replace
from delays.contract import problems
from delays.deliveries import SOURCES, Delivery, Refused

DAYS = 81  # training, holdout and the days before them that rates look back on
KEY = ["date", "carrier", "flight", "origin"]
HOUR = ["date", "origin", "hour"]
MEASURED = ["distance_mi", "dep_delay_min", "air_time_min", "arr_delay_min"]
WEATHER = ["temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb"]
FLOWN = [*KEY, "dest", "sched_dep", *MEASURED]
TYPES = dict.fromkeys(KEY, "str") | {"flight": "int64", "dest": "str", "sched_dep": "str"}
TYPES |= dict.fromkeys([*MEASURED, *WEATHER], "float64")

Ledger = dict[str, dict[str, Any]]
"""By source and day ("JFK/2024-07-08"): the digest of what was delivered, and the rows that it came to."""


class CountsDiffer(Exception):
    """The table does not hold as many rows as were delivered."""


@dataclass(frozen=True)
class Landed:
    """A table as it stands after landing, and the sources whose newest delivery for the last day was refused."""

    table: pd.DataFrame
    quarantined: list[str]


def land(settings: Settings, day: date) -> Landed:
    """Land what was delivered for the DAYS days before `day` and is not in the table yet.

    A source's day is landed anew, whole, when its deliveries have changed or its rows are not as many as were
    delivered. Doing it again changes nothing. Raises CountsDiffer where the table written is not what was delivered.
    """
    table, ledger = read(settings)
    rows = table.groupby(["origin", "date"]).size()
    changed: dict[tuple[str, str], list[Delivery]] = {}
    for source, of_day in _delivered(settings, day):
        name, digest = f"{source}/{of_day}", deliveries.digest(deliveries.folder(settings.feeds, source, of_day))
        if ledger.get(name) != {"digest": digest, "rows": int(rows.get((source, str(of_day)), 0))}:
            accepted = _accepted(settings, source, of_day, day)
            changed[source, str(of_day)] = accepted
            ledger[name] = {"digest": digest, "rows": len(_keys(accepted))}
    if changed:
        landed = [each for accepted in changed.values() for each in accepted]
        flights = latest([each.flights for each in landed if each.flights is not None], KEY, FLOWN)
        weather = latest([each.weather for each in landed if each.weather is not None], HOUR, [*HOUR, *WEATHER])
        write(settings, overwritten(table, list(changed), joined(flights, weather)), ledger)
        log("landed", source_days=len(changed), rows=len(flights))
    table, ledger = read(settings)
    reconcile(table, ledger)
    quarantined = [source for source in SOURCES if _refused(settings, source, day - timedelta(days=1))]
    return Landed(table, quarantined)


def latest(parts: list[pd.DataFrame], key: list[str], columns: list[str]) -> pd.DataFrame:
    """The rows of all parts in the order of their deliveries, later ones in the place of those with the same key."""
    if not parts:
        return empty(columns)
    return pd.concat(parts, ignore_index=True).drop_duplicates(key, keep="last")


def joined(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Flights with the weather of the hour of `sched_dep` as written, at their origin; missing stays missing."""
    hour = flights["sched_dep"].str[11:13].astype(float)
    rows = flights[FLOWN].assign(hour=hour).merge(weather, how="left", on=HOUR, validate="many_to_one")
    return rows[list(TYPES)].astype(TYPES)


def overwritten(table: pd.DataFrame, places: list[tuple[str, str]], landed: pd.DataFrame) -> pd.DataFrame:
    """The table with the rows of these sources and days replaced by what landed, sorted by key."""
    of_place = pd.MultiIndex.from_frame(table[["origin", "date"]])
    standing = table[~of_place.isin(places)]
    return pd.concat([standing, landed], ignore_index=True).sort_values(KEY, ignore_index=True)


def reconcile(table: pd.DataFrame, ledger: Ledger) -> None:
    """Compare the rows of each source and day with what was delivered. Raises CountsDiffer."""
    if table.duplicated(KEY).any():
        raise CountsDiffer(f"{int(table.duplicated(KEY).sum())} rows of the table have the key of another one")
    rows = table.groupby(["origin", "date"]).size().to_dict()
    for name, entry in ledger.items():
        found = rows.pop(tuple(name.split("/")), 0)
        if found != entry["rows"]:
            raise CountsDiffer(f"{name}: {entry['rows']} flights were delivered, {found} are in the table")
    if rows:
        raise CountsDiffer(f"nobody delivered what the table has of {sorted(rows)[0]}")


def read(settings: Settings) -> tuple[pd.DataFrame, Ledger]:
    """The table and the ledger of what it was made from; both empty where there is no table."""
    try:
        stored = pq.read_table(pa.BufferReader(settings.table.read_bytes()))
    except FileNotFoundError:
        return empty(list(TYPES)), {}
    return stored.to_pandas(), json.loads((stored.schema.metadata or {}).get(b"landed", b"{}"))


def write(settings: Settings, table: pd.DataFrame, ledger: Ledger) -> None:
    """Write the table in one piece, its ledger within; the same rows give the same bytes."""
    stored = pa.Table.from_pandas(table, preserve_index=False)
    said = json.dumps(ledger, sort_keys=True).encode()
    target = BytesIO()
    pq.write_table(stored.replace_schema_metadata({**(stored.schema.metadata or {}), b"landed": said}), target)
    replace(settings.table, target.getvalue())


def empty(columns: list[str]) -> pd.DataFrame:
    """A table without rows."""
    return pd.DataFrame({name: pd.Series(dtype=TYPES.get(name, "float64")) for name in columns})


def _delivered(settings: Settings, day: date) -> Iterator[tuple[str, date]]:
    for source in SOURCES:
        for before in range(DAYS, 0, -1):
            of_day = day - timedelta(days=before)
            if deliveries.folder(settings.feeds, source, of_day).is_dir():
                yield source, of_day


def _accepted(settings: Settings, source: str, of_day: date, day: date) -> list[Delivery]:
    """The deliveries of a source's day that may land, in order; what is wrong with the others is put on record."""
    accepted: list[Delivery] = []
    refused: dict[int, str] = {}
    for number in deliveries.numbers(deliveries.folder(settings.feeds, source, of_day)):
        try:
            delivery = deliveries.read(settings.feeds, source, of_day, number)
            wrong = problems(delivery)
            if wrong:
                raise Refused("; ".join(wrong))
            accepted.append(delivery)
        except Refused as error:
            refused[number] = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a source delivers, the others land
            refused[number] = f"not as documented: {error!r}"
    _record(settings, source, of_day, refused, [each.number for each in accepted], day)
    return accepted


def _keys(accepted: list[Delivery]) -> set[tuple[str, float]]:
    """Carrier and number of every flight that a source delivered for a day."""
    frames = [each.flights for each in accepted if each.flights is not None]
    return {key for frame in frames for key in zip(frame["carrier"], frame["flight"], strict=True)}


def _record(
    settings: Settings, source: str, of_day: date, refused: dict[int, str], accepted: list[int], day: date
) -> None:
    """Keep the quarantine record of a source's day: its newest refused delivery. A new one is said by an alert."""
    path = settings.quarantine / source / f"{of_day}.json"
    standing = json.loads(path.read_bytes()) if path.is_file() else {}
    if not refused:
        path.unlink(missing_ok=True)
        return
    number = max(refused)
    known = standing.get("delivery") == number
    mended = max(accepted, default=0) > number
    released = (standing.get("released") if known else None) or (str(day) if mended else None)
    record = {"source": source, "date": str(of_day), "delivery": number, "reason": refused[number]}
    replace(path, json.dumps({**record, "released": released}, indent=1).encode() + b"\n")
    if not known:
        text = f"delivery {number} for {of_day} is refused: {refused[number]}"
        alert(settings, "source_quarantined", source, text, day)


def _refused(settings: Settings, source: str, of_day: date) -> bool:
    path = settings.quarantine / source / f"{of_day}.json"
    return path.is_file() and json.loads(path.read_bytes())["released"] is None
