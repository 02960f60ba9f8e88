"""A submitted registry is taken row by row: nothing that runs code or names a foreign file comes through."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness import registry_import
from harness.errors import SubmissionError
from harness.registry_import import import_registry

TABLES = (
    "CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT)",
    "CREATE TABLE model_versions (name TEXT, version INTEGER, source TEXT, storage_location TEXT)",
    "CREATE TABLE webhooks (url TEXT)",
)


def registry(folder: Path, *statements: str) -> Path:
    folder.mkdir()
    (folder / "artifacts").mkdir()
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for statement in (*TABLES, *statements):
            database.execute(statement)
    return folder


def rows(folder: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return database.execute(f"SELECT * FROM {table}").fetchall()


def test_honest_rows_come_through_and_old_ones_do_not_stay(tmp_path: Path) -> None:
    schema = registry(tmp_path / "schema", "INSERT INTO runs VALUES ('old', 'mlflow-artifacts:/0/old')")
    source = registry(
        tmp_path / "source",
        "INSERT INTO runs VALUES ('new', 'mlflow-artifacts:/0/new/artifacts')",
        "INSERT INTO model_versions VALUES ('m', 1, 'models:/m-123', NULL)",
    )
    import_registry(source, schema, tmp_path / "target")
    assert rows(tmp_path / "target", "runs") == [("new", "mlflow-artifacts:/0/new/artifacts")]
    assert rows(tmp_path / "target", "model_versions") == [("m", 1, "models:/m-123", None)]


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc",
        "/etc",
        "mlflow-artifacts:/../../etc",
        "mlflow-artifacts:/0/../../etc",
        "mlflow-artifacts://elsewhere.example/0",
        "http://elsewhere.example/",
        "s3://bucket/x",
        "mlflow-artifacts:/0/%2e%2e/x",
        "runs:/1/x",
    ],
)
@pytest.mark.parametrize("table", ["runs", "model_versions"])
def test_foreign_uris_are_refused(tmp_path: Path, uri: str, table: str) -> None:
    columns = {"runs": f"('a', '{uri}')", "model_versions": f"('m', 1, '{uri}', NULL)"}
    source = registry(tmp_path / "source", f"INSERT INTO {table} VALUES {columns[table]}")
    with pytest.raises(SubmissionError, match="only what the server proxies"):
        import_registry(source, registry(tmp_path / "schema"), tmp_path / "target")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM model_versions; END",
        "CREATE VIEW v AS SELECT * FROM runs",
    ],
)
def test_triggers_and_views_are_refused(tmp_path: Path, statement: str) -> None:
    with pytest.raises(SubmissionError, match="does not make"):
        import_registry(registry(tmp_path / "source", statement), registry(tmp_path / "schema"), tmp_path / "target")


def test_tables_that_are_no_history_stay_behind(tmp_path: Path) -> None:
    source = registry(tmp_path / "source", "INSERT INTO webhooks VALUES ('http://elsewhere.example')")
    import_registry(source, registry(tmp_path / "schema"), tmp_path / "target")
    assert rows(tmp_path / "target", "webhooks") == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    source = registry(tmp_path / "source")
    (source / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(SubmissionError, match="cannot be read"):
        import_registry(source, registry(tmp_path / "schema"), tmp_path / "target")


def test_a_run_without_a_place_is_refused_and_a_version_without_a_source_is_not(tmp_path: Path) -> None:
    """Its place would be the folder where the server was started."""
    schema = registry(tmp_path / "schema")
    honest = registry(tmp_path / "honest", "INSERT INTO model_versions VALUES ('m', 1, '', '')")
    import_registry(honest, schema, tmp_path / "target")
    assert rows(tmp_path / "target", "model_versions") == [("m", 1, "", "")]
    source = registry(tmp_path / "source", "INSERT INTO runs VALUES ('r', '')")
    with pytest.raises(SubmissionError, match="only what the server proxies"):
        import_registry(source, schema, tmp_path / "refused")


def test_a_database_that_reads_as_much_more_than_it_takes_is_refused(tmp_path: Path) -> None:
    """A column's default is stored once, and read in every row that was there before it."""
    source = registry(
        tmp_path / "source",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
        "INSERT INTO runs SELECT i, 'mlflow-artifacts:/0/r' FROM n",
        f"ALTER TABLE runs ADD COLUMN name TEXT DEFAULT '{'x' * 900_000}'",
    )
    assert (source / "mlflow.db").stat().st_size < 2**22
    schema = registry(tmp_path / "schema", "ALTER TABLE runs ADD COLUMN name TEXT")
    with pytest.raises(SubmissionError, match="reads as more than 512 MiB"):
        import_registry(source, schema, tmp_path / "target")


def test_a_database_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_import, "IMPORT_SECONDS", 0.0)
    monkeypatch.setattr(registry_import, "STEPS", 1)
    with pytest.raises(SubmissionError, match="cannot be read"):
        import_registry(registry(tmp_path / "source"), registry(tmp_path / "schema"), tmp_path / "target")
