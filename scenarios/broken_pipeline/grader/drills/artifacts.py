"""What a run left in the registry, fetched as bytes through the artifact proxy: holdout.csv, and a model's signature.

Written by a candidate's code, so hostile: capped, parsed as text, and never loaded as a model.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml

from harness.errors import BadAnswer
from harness.model import Stack
from harness.probes.http import exchange
from harness.probes.registry import MODEL, Run, Version

from .inputs import NUMBERS, TEXTS
from .truth import KEY

_PROXY = "mlflow-artifacts:/"
ROWS_AT_MOST = 50_000
MODEL_FILE_BYTES = 200_000
NAMES_AT_MOST = 200


@dataclass(frozen=True)
class Declared:
    """A version's holdout.csv. `problem` says why there is none that can be read; then `rows` is empty.

    rows  KEY, the twelve inputs, late (0 or 1) and p_late
    """

    rows: pd.DataFrame
    problem: str = ""


def artifact(stack: Stack, base: str, name: str) -> bytes | None:
    """A file below an artifact address, None where there is none. Raises BadAnswer."""
    if not base.startswith(_PROXY):
        return None
    path = f"{base.removeprefix(_PROXY).lstrip('/')}/{name}"
    url = f"{stack.endpoint('registry')}/api/2.0/mlflow-artifacts/artifacts/{path}"
    status, raw = exchange(stack, "GET", url, timeout=30.0)
    return raw if status == 200 else None


def declared(stack: Stack, run: Run | None) -> Declared:
    """The holdout.csv of a run."""
    none = pd.DataFrame()
    if run is None:
        return Declared(none, "its run is not there")
    try:
        raw = artifact(stack, run.artifact_uri, "holdout.csv")
    except BadAnswer as exc:
        if exc.stack != stack.name:
            raise
        return Declared(none, f"holdout.csv cannot be fetched: {exc}")
    if raw is None:
        return Declared(none, "its run has no artifact holdout.csv")
    return parsed(raw)


def parsed(raw: bytes) -> Declared:
    """holdout.csv by the brief."""
    none = pd.DataFrame()
    try:
        text = raw.decode()
        frame = pd.read_csv(
            io.StringIO(text),
            dtype=str,
            keep_default_na=False,
            na_values=["", "nan", "NaN", "None"],
            nrows=ROWS_AT_MOST,
        )
    except (ValueError, RecursionError) as exc:  # pandas' ParserError is one
        return Declared(none, f"holdout.csv cannot be read: {str(exc)[:80]}")
    wanted = [*KEY, *(name for name in (*TEXTS, *NUMBERS, "late", "p_late") if name not in KEY)]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        return Declared(none, f"holdout.csv has no column {', '.join(missing)}")
    numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in (*NUMBERS, "late", "p_late", "flight")}
    rows = frame[wanted].assign(**numbers)
    wrong = [name for name in ("flight", "late", "p_late") if rows[name].isna().any()]
    if wrong or rows.empty:
        return Declared(none, f"holdout.csv has rows without a {wrong[0]}" if wrong else "holdout.csv has no rows")
    return Declared(rows.astype({"flight": "int64", "late": "float64"}))


def inputs_of(stack: Stack, version: Version) -> tuple[str, ...] | None:
    """The names of a version's input columns by its signature; None where it has none. Raises BadAnswer."""
    base = f"{stack.endpoint('registry')}/api/2.0/mlflow/model-versions/get-download-uri"
    status, raw = exchange(stack, "GET", base, params={"name": MODEL, "version": version.version})
    place = _object(raw).get("artifact_uri") if status == 200 else None
    content = artifact(stack, str(place), "MLmodel") if place else None
    return None if content is None else signed(content)


def signed(content: bytes) -> tuple[str, ...] | None:
    """The names of the input columns in an MLmodel file, None where it has no signature.

    The file is parsed into nodes, in which an alias stays a reference, and never built into values: a few hundred bytes
    of aliases or merges could become any amount of them.
    """
    try:
        said = _under(_under(yaml.compose(content[:MODEL_FILE_BYTES].decode(), yaml.SafeLoader), "signature"), "inputs")
        columns = json.loads(said.value if isinstance(said, yaml.ScalarNode) else "")
        return tuple(str(column["name"]) for column in columns[:NAMES_AT_MOST])
    except (yaml.YAMLError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _under(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key of a mapping; the last, where it comes twice."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in reversed(pairs) if name.value == key), None)


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def set_tags(stack: Stack, version: Version, tags: Mapping[str, str]) -> None:
    """Set tags of a version and of its run. Raises BadAnswer."""
    for key, value in tags.items():
        _set(stack, "model-versions/set-tag", {"name": MODEL, "version": version.version, "key": key, "value": value})
        if version.run_id:
            _set(stack, "runs/set-tag", {"run_id": version.run_id, "key": key, "value": value})


def _set(stack: Stack, path: str, body: Mapping[str, str]) -> None:
    url = f"{stack.endpoint('registry')}/api/2.0/mlflow/{path}"
    status, raw = exchange(stack, "POST", url, content=json.dumps(body).encode())
    if status != 200:
        raise BadAnswer(stack.name, f"The registry answered {status} to {path}: {raw[:120]!r}")
