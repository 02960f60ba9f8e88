"""Distances between tables (Evidently), in a process of its own: importing it takes seconds and much memory.

The method of each column is always named: Evidently's own choice switches from p-values to distances at 1000
reference rows, and its default tests give false alarms (on 68-84 % of
columns with 100 rows). The probe gives numbers; a check has the limit.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import EnvironmentFault

WASSERSTEIN = "wasserstein"
"""First Wasserstein distance over the reference's standard deviation (Evidently's "normed"); numbers."""
JENSEN_SHANNON = "jensenshannon"
"""Jensen-Shannon distance over 30 bins or categories; numbers and text."""

METHODS = frozenset({WASSERSTEIN, JENSEN_SHANNON})
DEADLINE_S = 120.0


def distances(
    current: pd.DataFrame, reference: pd.DataFrame, methods: Mapping[str, str], *, deadline_s: float = DEADLINE_S
) -> dict[str, float]:
    """Distance of each column of `methods` (column -> method name) between two tables.

    A column without a value in either table (all missing, or not there) is infinitely far. About 5 s, nearly all
    of it the import. Raises EnvironmentFault when the worker died, ValueError for a method that is not fixed here.
    """
    _known(methods)
    got = _work({"what": "distances", "methods": dict(methods)}, current, reference, list(methods), deadline_s)
    return {column: math.inf if value is None else float(value) for column, value in got.items()}


def clean_threshold(
    pool: pd.DataFrame,
    methods: Mapping[str, str],
    n: int,
    trials: int,
    quantile: float,
    seed: int,
    *,
    reference: pd.DataFrame | None = None,
    deadline_s: float = DEADLINE_S,
) -> dict[str, float]:
    """For each column, the distance that clean windows of n rows stay below with the given probability.

    A clean window is n rows drawn without replacement from `pool` (with, where the pool is smaller); its distance is
    taken to `reference`, or to the rest of the pool where none is given (to the pool itself when the rest is smaller
    than n). `quantile` of `trials` such distances, seeded. Errors as in `distances`.
    """
    _known(methods)
    spec = {
        "what": "threshold",
        "methods": dict(methods),
        "n": n,
        "trials": trials,
        "quantile": quantile,
        "seed": seed,
    }
    got = _work(spec, pool, reference, list(methods), deadline_s)
    return {column: math.inf if value is None else float(value) for column, value in got.items()}


def _known(methods: Mapping[str, str]) -> None:
    for column, method in methods.items():
        if method not in METHODS:
            raise ValueError(f"{column}: {method!r} is none of {sorted(METHODS)}")


def _work(
    spec: dict[str, Any],
    current: pd.DataFrame,
    reference: pd.DataFrame | None,
    columns: list[str],
    deadline_s: float,
) -> dict[str, Any]:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "DO_NOT_TRACK": "1"}
    with tempfile.TemporaryDirectory(prefix="drift-") as name:
        spec = spec | {"current": f"{name}/current.csv", "reference": None}
        current.reindex(columns=columns).to_csv(spec["current"], index=False)
        if reference is not None:
            spec["reference"] = f"{name}/reference.csv"
            reference.reindex(columns=columns).to_csv(spec["reference"], index=False)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "harness.probes.drift_worker"],
                input=json.dumps(spec).encode(),
                env=environment,
                cwd=name,
                capture_output=True,
                timeout=deadline_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EnvironmentFault(f"The drift worker did not end within {deadline_s:g} s.") from None
    return _answer(done)


def _answer(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    end = done.stderr.decode(errors="replace")[-600:]
    if done.returncode != 0 or not done.stdout.strip():
        raise EnvironmentFault(f"The drift worker died with exit code {done.returncode}: {end}")
    got = json.loads(done.stdout.splitlines()[-1])
    if not isinstance(got, dict):
        raise EnvironmentFault(f"The drift worker gave no table: {end}")
    return got
