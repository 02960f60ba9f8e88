"""Brings the registry of a submission into a fresh database, row by row.

The registry of a submission is hostile input: a run whose artifact URI names a file of the host makes a stock server
hand that file out, and a trigger runs when the grader writes. So only rows of known tables and columns are taken, and
only with URIs that the server itself proxies.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from harness.errors import SubmissionError
from harness.workspace import MAX_BYTES, copy_registry, copy_tree

TABLES = (
    "experiments",
    "experiment_tags",
    "runs",
    "tags",
    "params",
    "metrics",
    "latest_metrics",
    "datasets",
    "inputs",
    "input_tags",
    "logged_models",
    "logged_model_metrics",
    "logged_model_params",
    "logged_model_tags",
    "registered_models",
    "registered_model_tags",
    "registered_model_aliases",
    "model_versions",
    "model_version_tags",
)
"""What a registry's history consists of; everything else (webhooks, secrets, gateways, traces) is left behind."""

URIS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
NONE_SAID = ("source", "storage_location")
"""Of these an empty text says that there is none. As a run's place it would be the folder where the server started."""

PROXIED = re.compile(r"(mlflow-artifacts:/(?!/)|models:/)[A-Za-z0-9_\-./@]*")
"""URIs that the registry's own server resolves below its own artifact folder."""

MAX_ROWS = 200_000
MAX_TEXT = 1_000_000
IMPORT_SECONDS = 60.0
STEPS = 100_000
"""How many of SQLite's instructions lie between two looks at the clock: some milliseconds."""


def import_registry(source: Path, schema: Path, target: Path) -> None:
    """Fill `target` (a folder) from the registry folder `source`, with the tables of the trusted folder `schema`.

    Raises SubmissionError when the database has triggers or views, cannot be read within IMPORT_SECONDS, names foreign
    URIs, or reads as more than a submission may hold: a column's default counts in every row and is stored once.
    """
    copy_registry(schema, target)
    shutil.rmtree(target / "artifacts", ignore_errors=True)
    try:
        with (
            closing(sqlite3.connect(f"file:{source / 'mlflow.db'}?mode=ro&immutable=1", uri=True)) as old,
            closing(sqlite3.connect(target / "mlflow.db")) as new,
        ):
            end = time.monotonic() + IMPORT_SECONDS
            old.set_progress_handler(lambda: time.monotonic() > end, STEPS)
            old.execute("PRAGMA trusted_schema = OFF")
            _refuse_code(old)
            new.execute("PRAGMA foreign_keys = OFF")
            with new:
                _delete_rows(new)
                allowance = _Allowance()
                for table in TABLES:
                    _copy(old, new, table, allowance)
    except sqlite3.Error as exc:
        raise SubmissionError(f"The submission's registry cannot be read: {exc}.", "Run `exam rehearse`.") from exc
    if (source / "artifacts").is_dir():
        copy_tree(source / "artifacts", target / "artifacts")


def _refuse_code(old: sqlite3.Connection) -> None:
    found = old.execute("SELECT type, name FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchall()
    foreign = [(kind, name) for kind, name in found if not _is_mlflows_own(kind, name)]
    if foreign:
        kind, name = foreign[0]
        raise SubmissionError(f"The submission's registry has a {kind} {str(name)[:60]!r}, which MLflow does not make.")


def _is_mlflows_own(kind: str, name: str) -> bool:
    return kind == "trigger" and name.startswith("prevent_secrets_")


def empty(database: Path) -> None:
    """Delete every row that an import would bring, so that only the schema stays."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        with connection:
            _delete_rows(connection)
        connection.execute("VACUUM")


def _delete_rows(new: sqlite3.Connection) -> None:
    tables = [name for (name,) in new.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        if table in TABLES:
            new.execute(f"DELETE FROM {table}")


class _Allowance:
    """What all values of a registry may take together."""

    def __init__(self) -> None:
        self._left = MAX_BYTES

    def take(self, row: tuple[object, ...]) -> None:
        """Count a row. Raises SubmissionError when it is too much."""
        self._left -= sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
        if self._left < 0:
            raise SubmissionError(f"The submission's registry reads as more than {MAX_BYTES // 2**20} MiB.")


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str, allowance: _Allowance) -> None:
    wanted = _columns(new, table)
    columns = [name for name in _columns(old, table) if name in wanted]
    if not columns:
        return
    names = ", ".join(columns)
    marks = ", ".join("?" for _ in columns)
    rows = _checked(old.execute(f"SELECT {names} FROM {table} LIMIT {MAX_ROWS + 1}"), table, columns, allowance)
    new.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def _checked(
    rows: sqlite3.Cursor, table: str, columns: list[str], allowance: _Allowance
) -> Iterator[tuple[object, ...]]:
    uris = {name: columns.index(name) for name in URIS.get(table, ()) if name in columns}
    for number, row in enumerate(rows):
        if number >= MAX_ROWS:
            raise SubmissionError(f"The submission's registry has more than {MAX_ROWS} rows in {table}.")
        for name, index in uris.items():
            if row[index] is not None and not (row[index] == "" and name in NONE_SAID):
                _check_uri(row[index], table)
        if any(isinstance(value, str | bytes) and len(value) > MAX_TEXT for value in row):
            raise SubmissionError(f"The submission's registry has an oversized value in {table}.")
        allowance.take(row)
        yield row


def _check_uri(uri: object, table: str) -> None:
    if not isinstance(uri, str) or not PROXIED.fullmatch(uri) or ".." in uri.split("/"):
        raise SubmissionError(
            f"The submission's registry names {str(uri)[:100]!r} in {table}: only what the server proxies is taken.",
            "Log models through the tracking server, without artifact locations of your own.",
        )


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
