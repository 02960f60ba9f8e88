"""Lands deliveries in the canonical table: each source and day for itself, the newest row of each key."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from delays import contract, deliveries
from delays.config import Settings, alert, log
from delays.config import write as write_json
from delays.deliveries import SOURCES, Delivery, Refused

DAYS = 81  # training, holdout and the days before them that rates look back on
KEY = ["date", "carrier", "flight", "origin"]
HOUR = ["date", "origin", "hour"]
FLOWN = [*KEY, "dest", "sched_dep", "distance_mi", "dep_delay_min", "air_time_min", "arr_delay_min"]
WEATHER = ["temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb"]
TYPES = {name: "str" if name in (*KEY, "dest", "sched_dep") else "float64" for name in (*FLOWN, *WEATHER)}
TYPES["flight"] = "int64"

Ledger = dict[str, dict[str, Any]]
"""By source and day ("JFK/2024-07-08"): the digest of what was delivered, and the rows that it came to."""


class CountsDiffer(Exception):
    """The table does not hold as many rows as were delivered."""


def land(settings: Settings, day: date) -> pd.DataFrame:
    """Land what was delivered for the DAYS days before `day` and is not in the table yet; returns the table.

    A source's day is landed anew, whole, when its deliveries have changed or its rows are not as many as were
    delivered. Doing it again changes nothing. Raises CountsDiffer where the table written is not what was delivered.
    """
    table, ledger = read(settings)
    rows = counts(table)
    landed: dict[str, list[Delivery]] = {}
    for place in _places(settings, day):
        name, digest = f"{place.parent.name}/{place.name}", deliveries.digest(place)
        if ledger.get(name) != {"digest": digest, "rows": rows.get(name, 0)}:
            landed[name] = accepted(settings, place, day)
            ledger[name] = {"digest": digest, "rows": len(_keys(landed[name]))}
    if landed:
        parts = [delivery for of_place in landed.values() for delivery in of_place]
        flights = latest([each.flights for each in parts if each.flights is not None], KEY)
        weather = latest([each.weather for each in parts if each.weather is not None], HOUR)
        standing = table[~(table["origin"] + "/" + table["date"]).isin(landed)]
        write(settings, pd.concat([standing, joined(flights, weather)]), ledger)
        log("landed", date=day, source_days=len(landed), rows=len(flights))
    table, ledger = read(settings)
    reconcile(table, ledger)
    return table


def accepted(settings: Settings, place: Path, day: date) -> list[Delivery]:
    """The deliveries in a folder that may land, in order; what is wrong with the others is put on record."""
    found: list[Delivery] = []
    refused: dict[int, str] = {}
    for number in deliveries.numbers(place):
        try:
            delivery = deliveries.read(place, number)
            contract.check(delivery)
            found.append(delivery)
        except Exception as error:  # noqa: BLE001 - whatever a source delivers, the others land
            refused[number] = str(error) if isinstance(error, Refused) else f"not as documented: {error!r}"
    quarantine(settings, place, refused, max((each.number for each in found), default=0), day)
    return found


def latest(parts: list[pd.DataFrame], key: list[str]) -> pd.DataFrame:
    """The rows of all parts in the order of their deliveries, later ones in the place of those with the same key."""
    return pd.concat([empty().assign(hour=0.0), *parts], ignore_index=True).drop_duplicates(key, keep="last")


def joined(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Flights with the weather of the hour of `sched_dep` as written, at their origin; missing stays missing."""
    hour = flights["sched_dep"].str[11:13].astype(float)
    measured = weather[[*HOUR, *WEATHER]]
    return flights[FLOWN].assign(hour=hour).merge(measured, how="left", on=HOUR, validate="many_to_one")


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Rows by source and day."""
    return (table["origin"] + "/" + table["date"]).value_counts().to_dict()


def reconcile(table: pd.DataFrame, ledger: Ledger) -> None:
    """Compare the rows of each source and day with what was delivered. Raises CountsDiffer."""
    rows = counts(table)
    for name in sorted({*rows, *ledger}):
        delivered = ledger.get(name, {"rows": 0})["rows"]
        if delivered != rows.get(name, 0):
            raise CountsDiffer(f"{name}: {delivered} flights were delivered, {rows.get(name, 0)} are in the table")
    if table.duplicated(KEY).any():
        raise CountsDiffer(f"{table.duplicated(KEY).sum()} rows of the table have the key of another one")


def quarantine(settings: Settings, place: Path, refused: dict[int, str], newest: int, day: date) -> None:
    """Keep the record of a folder: its newest refused delivery. One that was not on record is said by an alert.

    `newest` is the number of the newest accepted delivery.
    """
    source, path = place.parent.name, _record(settings, place.parent.name, place.name)
    if not refused:
        path.unlink(missing_ok=True)
        return
    number, standing = max(refused), json.loads(path.read_bytes()) if path.is_file() else {}
    known = standing.get("delivery") == number
    released = (standing["released"] if known else None) or (str(day) if newest > number else None)
    said = {"source": source, "date": place.name, "delivery": number, "reason": refused[number]}
    write_json(path, {**said, "released": released})
    if not known:
        text = f"delivery {number} for {place.name} is refused: {refused[number]}"
        alert(settings, "source_quarantined", source, text, day)


def quarantined(settings: Settings, day: date) -> list[str]:
    """The sources whose newest delivery for `day` was refused."""
    paths = {source: _record(settings, source, str(day)) for source in SOURCES}
    return [
        name for name, path in paths.items() if path.is_file() and json.loads(path.read_bytes())["released"] is None
    ]


def read(settings: Settings) -> tuple[pd.DataFrame, Ledger]:
    """The table, sorted by key, and the ledger of what it was made from; both empty where there is no table."""
    table = pd.read_parquet(settings.table) if settings.table.is_file() else empty()
    return table, table.attrs.pop("ledger", {})


def write(settings: Settings, table: pd.DataFrame, ledger: Ledger) -> None:
    """Write the table in one piece, its ledger within; the same rows give the same bytes."""
    table = table[list(TYPES)].astype(TYPES).sort_values(KEY, ignore_index=True)
    table.attrs["ledger"] = dict(sorted(ledger.items()))
    settings.table.parent.mkdir(parents=True, exist_ok=True)
    aside = settings.table.with_suffix(".part")
    table.to_parquet(aside, index=False)
    aside.replace(settings.table)


def empty() -> pd.DataFrame:
    """A table without rows."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in TYPES.items()})


def _places(settings: Settings, day: date) -> list[Path]:
    days = [str(day - timedelta(days=before)) for before in range(DAYS, 0, -1)]
    places = [settings.root / "feeds" / source / of_day for source in SOURCES for of_day in days]
    return [place for place in places if place.is_dir()]


def _record(settings: Settings, source: str, of_day: str) -> Path:
    return settings.root / "quarantine" / source / f"{of_day}.json"


def _keys(of_place: list[Delivery]) -> set[tuple[str, float]]:
    frames = [each.flights for each in of_place if each.flights is not None]
    return {key for frame in frames for key in zip(frame["carrier"], frame["flight"], strict=True)}
