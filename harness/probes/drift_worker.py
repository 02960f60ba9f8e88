"""The drift worker: `python -m harness.probes.drift_worker`, a JSON request on stdin, the distances on stdout.

See `drift` for the meaning. A distance is null where a column has no value to compare.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from harness.probes.drift import WASSERSTEIN


def measure(current: pd.DataFrame, reference: pd.DataFrame, methods: dict[str, str]) -> dict[str, float | None]:
    """Distance by column; None where one side has no value, or where a number is asked of what is none.

    Evidently's own functions by name, as its report calls them on a column without missing values; the report itself
    draws a page for each column, which takes a hundred times as long.
    """
    return {column: _distance(current[column], reference[column], method) for column, method in methods.items()}


def _distance(current: pd.Series[Any], reference: pd.Series[Any], method: str) -> float | None:
    kind = ColumnType.Numerical if _numeric(current) and _numeric(reference) else ColumnType.Categorical
    if method == WASSERSTEIN and kind != ColumnType.Numerical:
        return None
    sides = [_values(side, kind) for side in (reference, current)]
    if any(side.empty for side in sides):
        return None
    score = float(get_stattest(*sides, kind, method)(*sides, kind, None).drift_score)
    return score if np.isfinite(score) else None


def _values(column: pd.Series[Any], kind: ColumnType) -> pd.Series[Any]:
    present = column.replace([np.inf, -np.inf], np.nan).dropna()
    return present.astype(float) if kind == ColumnType.Numerical else present.map(str)


def threshold(pool: pd.DataFrame, reference: pd.DataFrame | None, spec: dict[str, Any]) -> dict[str, float | None]:
    """The quantile of clean windows' distances, by column."""
    rng = np.random.default_rng(spec["seed"])
    trials = [_trial(pool, reference, spec, rng) for _ in range(spec["trials"])]
    found: dict[str, float | None] = {}
    for column in spec["methods"]:
        values = [trial[column] for trial in trials]
        found[column] = None if None in values else float(np.quantile(np.array(values, float), spec["quantile"]))
    return found


def _trial(
    pool: pd.DataFrame, reference: pd.DataFrame | None, spec: dict[str, Any], rng: np.random.Generator
) -> dict[str, float | None]:
    size = len(pool)
    chosen = rng.choice(size, spec["n"], replace=size < spec["n"])
    rest = np.setdiff1d(np.arange(size), chosen)
    against = reference if reference is not None else pool.iloc[rest] if len(rest) >= spec["n"] else pool
    return measure(pool.iloc[chosen], against, spec["methods"])


def _numeric(column: pd.Series[Any]) -> bool:
    return is_numeric_dtype(column) and not is_bool_dtype(column)


def main() -> None:
    """Answer the request on stdin."""
    spec = json.load(sys.stdin)
    current = pd.read_csv(spec["current"])
    reference = pd.read_csv(spec["reference"]) if spec["reference"] else None
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # nothing of the library's may come between
        if spec["what"] == "threshold":
            found = threshold(current, reference, spec)
        elif reference is not None:
            found = measure(current, reference, spec["methods"])
        else:
            raise ValueError("distances need a reference")
    out.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
