"""Makes a freshly built registry say the story's dates, and model files equal byte for byte from run to run."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

NIGHT = "T07:10:00"
"""Ten past three in New York, in UTC."""

_RUN_TIMES = (
    "update runs set start_time=:t, end_time=:t+41000, user_id='nightly' where run_uuid=:run",
    "update runs set source_name='bin/nightly' where run_uuid=:run",
    "update metrics set timestamp=:t+9000 where run_uuid=:run",
    "update latest_metrics set timestamp=:t+9000 where run_uuid=:run",
    "update logged_model_metrics set metric_timestamp_ms=:t+9000 where run_id=:run",
    "update logged_models set creation_timestamp_ms=:t+12000 where source_run_id=:run",
    "update logged_models set last_updated_timestamp_ms=:t+38000 where source_run_id=:run",
    "update model_versions set creation_time=:t+40000, last_updated_time=:t+40000 where run_id=:run",
)
_WHOLE = (
    "update experiments set creation_time=:first, last_update_time=:first",
    "update registered_models set creation_time=:first, last_updated_time=:last",
    "update tags set value='bin/nightly' where key='mlflow.source.name'",
    "update tags set value='nightly' where key='mlflow.user'",
    "update logged_model_tags set tag_value='bin/nightly' where tag_key='mlflow.source.name'",
    "update logged_model_tags set tag_value='nightly' where tag_key='mlflow.user'",
)
_LINES = {
    "id": re.compile(r"^model_uuid: .*$", re.MULTILINE),
    "run": re.compile(r"^run_id: (\w+)$", re.MULTILINE),
    "made": re.compile(r"^utc_time_created: .*$", re.MULTILINE),
    "size": re.compile(r"^model_size_bytes: .*$", re.MULTILINE),
}
_UNDATED = "2019-01-01"


def milliseconds(day: str) -> int:
    """The instant of a night's job, in milliseconds since 1970."""
    return round(datetime.fromisoformat(day + NIGHT).replace(tzinfo=UTC).timestamp() * 1000)


def stamp_registry(registry: Path, dates: Mapping[str, str]) -> None:
    """Put the story's dates into a registry that no server has open; `dates` is by version.

    The path of the building script, which MLflow notes as the source of a run, becomes the nightly's.
    """
    with closing(sqlite3.connect(registry / "mlflow.db")) as connection:
        runs = {str(v): run for v, run in connection.execute("select version, run_id from model_versions")}
        for version, day in dates.items():
            for statement in _RUN_TIMES:
                connection.execute(statement, {"t": milliseconds(day), "run": runs[version]})
        ends = {"first": milliseconds(min(dates.values())), "last": milliseconds(max(dates.values())) + 41000}
        for statement in _WHOLE:
            connection.execute(statement, ends)
        connection.commit()
        connection.execute("vacuum")  # else the old text stays readable in the file's free pages
    plain_models(registry / "artifacts", {runs[version]: day for version, day in dates.items()})


def plain_models(folder: Path, dates: Mapping[str, str] | None = None) -> None:
    """Rewrite every model under `folder` so that it does not depend on when and where it was written.

    `dates` says by run id on which story day a model was made.
    """
    for path in sorted(folder.rglob("MLmodel")):
        archive = path.with_name("model.skops")
        archive.write_bytes(plain_skops(archive.read_bytes()))
        text = path.read_text(encoding="utf-8")
        run = _LINES["run"].search(text)
        day = (dates or {}).get(run.group(1), _UNDATED) if run else _UNDATED
        text = _LINES["made"].sub(f"utc_time_created: '{day} 07:10:12.000000'", text)
        if run is None:  # saved to a folder: no database knows its id
            text = _LINES["id"].sub(f"model_uuid: {sha256(archive.read_bytes()).hexdigest()[:32]}", text)
        text = _LINES["size"].sub(f"model_size_bytes: {archive.stat().st_size}", text)
        path.write_text(text, encoding="utf-8")


def plain_skops(content: bytes) -> bytes:
    """A skops archive with counted object ids (skops writes memory addresses) and without times."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files.pop("schema.json"))
    names: dict[str, str] = {}
    _count_ids(schema, names)
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        renamed = {_renamed(name, names): data for name, data in files.items()}
        for name in sorted(renamed):
            archive.writestr(zipfile.ZipInfo(name), renamed[name])
        archive.writestr(zipfile.ZipInfo("schema.json"), json.dumps(schema, indent=1).encode())
    return target.getvalue()


def _count_ids(node: Any, names: dict[str, str]) -> None:
    """Replace ids in place, in the order in which they are met."""
    if isinstance(node, list):
        for each in node:
            _count_ids(each, names)
    elif isinstance(node, dict):
        if "__id__" in node:
            node["__id__"] = int(names.setdefault(str(node["__id__"]), str(len(names) + 1)))
        if isinstance(node.get("file"), str):
            names.setdefault(node["file"].split(".")[0], str(len(names) + 1))
            node["file"] = _renamed(node["file"], names)
        for each in node.values():
            _count_ids(each, names)


def _renamed(name: str, names: Mapping[str, str]) -> str:
    stem, _, suffix = name.partition(".")
    return f"{names.get(stem, stem)}.{suffix}"
