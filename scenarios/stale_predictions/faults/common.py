"""What the forms share: the registry's database, the nights' record, the log, and looks at a running stack."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.model import Site, Stack
from harness.probes.registry import MODEL, Registry

from .. import traces
from ..nights import walk

Log = pd.DataFrame
Edit = Callable[[Log, traces.Told], Log]

FLIGHT = ["carrier", "flight", "origin", "dest"]


# --- a running stack --------------------------------------------------------------------------------------------------


def alias_of(stack: Stack, name: str) -> str | None:
    """The version behind an alias."""
    version = Registry(stack).alias(name)
    return version.version if version else None


# --- the registry's database ------------------------------------------------------------------------------------------


@contextmanager
def database(site: Site) -> Iterator[sqlite3.Connection]:
    """The registry's database; what the block changes is kept when it ends well."""
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as connection:
        yield connection
        connection.commit()


def set_alias(site: Site, name: str, version: str) -> None:
    """Put an alias on a version."""
    with database(site) as connection:
        connection.execute("delete from registered_model_aliases where name=? and alias=?", (MODEL, name))
        connection.execute(
            "insert into registered_model_aliases (alias, version, name) values (?, ?, ?)", (name, int(version), MODEL)
        )


def aliases(site: Site) -> dict[str, str]:
    """The version behind each alias."""
    with database(site) as connection:
        rows = connection.execute("select alias, version from registered_model_aliases where name=?", (MODEL,))
        return {str(alias): str(version) for alias, version in rows}


def settle_aliases(site: Site) -> None:
    """Put both aliases where the story, with what the faults have said so far, leaves them."""
    champion, previous = traces.ending(site)
    if champion is not None:
        set_alias(site, "champion", champion)
    if previous is not None:
        set_alias(site, "previous", previous)


def tag(site: Site, version: str, key: str, value: str) -> None:
    """Put a tag on a version."""
    with database(site) as connection:
        connection.execute(
            "insert or replace into model_version_tags (key, value, name, version) values (?, ?, ?, ?)",
            (key, value, MODEL, int(version)),
        )


def tagged(site: Site, key: str, value: str | None = None) -> set[str]:
    """The versions that carry a tag, of this value where one is given."""
    with database(site) as connection:
        rows = connection.execute("select version, value from model_version_tags where name=? and key=?", (MODEL, key))
        return {str(version) for version, said in rows if value in (None, said)}


def known_versions(site: Site) -> list[str]:
    """Every version, oldest first."""
    with database(site) as connection:
        rows = connection.execute("select version from model_versions where name=? order by version", (MODEL,))
        return [str(version) for (version,) in rows]


# --- the nights -------------------------------------------------------------------------------------------------------


def change_nights(site: Site, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the record of each night in place: what the story is told from, never shown to a candidate."""
    path = site.private / "history.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for night in content["nights"]:
        change(night)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def outcomes(site: Site) -> list[Any]:
    """How each night ended by the story so far."""
    content = json.loads((site.private / "history.json").read_text(encoding="utf-8"))
    return walk(content["nights"], site.story)


def reports(site: Site) -> dict[str, dict[str, Any]]:
    """The nightly reports by date."""
    files = sorted((site.workspace / "state" / "nightly").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def set_rates(site: Site, day: date, rates: Mapping[str, float]) -> None:
    """What the log's answers find in the partition of a day; no rates at all is a day with a key that nobody has."""
    path = site.private / "rates.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    kept = table[table["date"] != str(day)]
    rows = [(str(day), key, str(rate), "1") for key, rate in (rates or {"none": 0.0}).items()]
    pd.concat([kept, pd.DataFrame(rows, columns=["date", "key", "late_rate", "flights"])]).to_csv(
        path, index=False, lineterminator="\n"
    )


# --- the log ----------------------------------------------------------------------------------------------------------


def read_log(site: Site, first: date | None = None) -> Log:
    """The delivered log from a day on; text, but for p_late."""
    files = sorted((site.workspace / "state" / "predictions").glob("*.csv"))
    chosen = [path for path in files if first is None or path.stem >= str(first)]
    log = pd.concat([pd.read_csv(path, dtype=str, keep_default_na=False) for path in chosen], ignore_index=True)
    return log.assign(p_late=log["p_late"].astype(float))


def edit_log(site: Site, edit: Edit) -> None:
    """Let an edit change the log before it is written; edits run in the order of the slots."""
    site.story.setdefault("edits", []).append(edit)


def with_partition(log: Log, told: traces.Told, day: date, partition: date, rates: Mapping[str, float]) -> Log:
    """The log with the answers of a day made from a partition and these rates."""
    chosen = log["scored_at"] == str(day)
    parts = [log[~chosen]]
    for version, rows in log[chosen].groupby("model_version", sort=True):
        parts.append(traces._answered(rows.assign(feature_date=str(partition)), str(version), rates, told))
    return pd.concat(parts).sort_index()


def appended(log: Log, rows: Log) -> Log:
    """The log with more answers at the end of their day, under row ids of their own."""
    if rows.empty:
        return log
    number = (
        log.groupby("scored_at").size().reindex(rows["scored_at"]).to_numpy() + rows.groupby("scored_at").cumcount() + 1
    )
    ids = [f"{day.replace('-', '')}-{n:04d}" for day, n in zip(rows["scored_at"], number, strict=True)]
    each = rows.assign(row_id=ids)
    return pd.concat([log, each]).sort_values("scored_at", kind="stable", ignore_index=True)


def clean_p99(by_day: pd.Series) -> float:
    """The 99th percentile of a daily measure in the clean world."""
    return float(np.percentile(by_day.to_numpy(dtype=float), 99)) if len(by_day) else 0.0


def partition_file(site: Site, day: date) -> Path:
    """part.csv of a day."""
    return site.workspace / "features" / f"date={day}" / "part.csv"
