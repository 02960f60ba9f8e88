"""Evidently's worker: distances with fixed methods, and thresholds from clean windows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from harness.probes.drift import JENSEN_SHANNON, WASSERSTEIN, clean_threshold, distances

pytestmark = pytest.mark.slow


def table(rows: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "number": rng.normal(shift, 1, rows),
            "text": rng.choice(["a", "b", "c"], rows),
            "absent": np.full(rows, np.nan),
            "half": np.where(rng.random(rows) < 0.5, np.nan, rng.normal(0, 1, rows)),
            "constant": np.ones(rows),
        }
    )


METHODS = {
    "number": WASSERSTEIN,
    "text": JENSEN_SHANNON,
    "absent": WASSERSTEIN,
    "half": WASSERSTEIN,
    "constant": WASSERSTEIN,
    "nowhere": WASSERSTEIN,
}


def test_distances_by_fixed_methods() -> None:
    """Normed Wasserstein of a shift is the shift in standard deviations, at any number of reference rows."""
    for rows in (800, 5000):
        found = distances(table(500, 1, shift=1.0), table(rows, 2), METHODS)
        assert found["number"] == pytest.approx(1.0, abs=0.15)
        assert found["text"] < 0.1
        assert found["absent"] == found["nowhere"] == math.inf
        assert found["half"] < 0.25
        assert found["constant"] == 0


def test_text_where_numbers_should_be_is_infinitely_far() -> None:
    current = pd.DataFrame({"number": ["x"] * 50})
    assert distances(current, table(100, 1), {"number": WASSERSTEIN})["number"] == math.inf


def test_a_clean_threshold_holds_for_clean_windows_and_not_for_shifted_ones() -> None:
    methods = {"number": WASSERSTEIN, "text": JENSEN_SHANNON}
    pool = table(5000, 3)
    limit = clean_threshold(pool, methods, n=500, trials=60, quantile=0.99, seed=7)
    assert 0.03 < limit["number"] < 0.25
    shifted = distances(table(500, 5, shift=0.4), pool, methods)
    assert shifted["number"] > limit["number"]
    assert shifted["text"] < 1.5 * limit["text"]


def test_the_distances_are_those_of_evidentlys_report() -> None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    methods = {"number": WASSERSTEIN, "half": WASSERSTEIN, "text": JENSEN_SHANNON}
    current, reference = table(500, 1, shift=0.3), table(2000, 2)
    definition = DataDefinition(numerical_columns=["number", "half"], categorical_columns=["text"])
    sides = [Dataset.from_pandas(each[list(methods)], definition) for each in (current, reference)]
    report = Report([ValueDrift(column=column, method=method) for column, method in methods.items()])
    theirs = [float(metric["value"]) for metric in report.run(*sides).dict()["metrics"]]
    assert list(distances(current, reference, methods).values()) == pytest.approx(theirs, abs=1e-9)


def test_a_method_that_is_not_fixed_is_refused() -> None:
    with pytest.raises(ValueError, match="auto"):
        distances(table(5, 1), table(5, 1), {"number": "auto"})
