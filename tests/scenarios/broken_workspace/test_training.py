"""Features, training and gate know what is known when asked, and promote what is better by more than luck."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from broken_workspace_parts import (
    DAY,
    WORKSPACE,
)


def test_rates_are_those_of_the_days_before(delays: Any, table: pd.DataFrame, story: Any) -> None:
    frame = delays.features.training_frame(table, story.today - timedelta(days=9), story.today - timedelta(days=1))
    row = frame[frame["date"] == str(story.today - timedelta(days=3))].iloc[5]
    first = str(story.today - timedelta(days=17))
    before = table[table["date"].between(first, str(story.today - timedelta(days=4)))].dropna(subset=["arr_delay_min"])
    for name in ("carrier", "origin"):
        own = before[before[name] == row[name]]
        assert row[f"{name}_late_rate"] == pytest.approx((own["arr_delay_min"] > 60).mean(), abs=1e-12)


def test_the_outcomes_of_a_day_move_no_input_of_that_day(delays: Any, table: pd.DataFrame, story: Any) -> None:
    day = story.today - timedelta(days=3)
    today = table["date"] == str(day)
    other = table.assign(
        **{name: table[name].mask(today, 500.0) for name in ("dep_delay_min", "air_time_min", "arr_delay_min")}
    )
    other = other.assign(arr_delay_min=other["arr_delay_min"].where(table["arr_delay_min"].notna()))
    inputs = [delays.features.training_frame(each, day, day)[delays.features.INPUTS] for each in (table, other)]
    pd.testing.assert_frame_equal(*inputs)


def test_serving_has_the_inputs_of_training(delays: Any, table: pd.DataFrame, story: Any) -> None:
    day = story.today - timedelta(days=1)
    known = delays.features.known(table[table["date"] < str(day)], day)
    trained = delays.features.training_frame(table, day, day)
    asked = table[table["date"] == str(day)].dropna(subset=["arr_delay_min"]).sort_values(delays.ingest.KEY)
    rows = []
    for flight in asked.to_dict("records"):
        hours = {int(flight["sched_dep"][11:13]): flight}
        rows.append(delays.features.model_row(flight, known, hours))
    served = delays.features.model_frame(rows)
    ever = list(zip(served["origin"], asked["dest"], strict=True))
    new = np.array([route not in known.distances for route in ever])
    assert new.mean() < 0.02
    columns = delays.features.INPUTS
    pd.testing.assert_frame_equal(
        served[~new].reset_index(drop=True), trained[columns][~new].reset_index(drop=True), check_dtype=False
    )


def test_the_distance_served_is_that_of_the_newest_row_of_the_route(
    delays: Any, table: pd.DataFrame, story: Any
) -> None:
    newest = table.sort_values(["date", "sched_dep"]).iloc[-1]
    other = table.assign(distance_mi=table["distance_mi"].where(table.index != newest.name, 777.0))
    known = delays.features.known(other, story.today)
    assert known.distances[newest["origin"], newest["dest"]] == 777.0
    assert known.feature_date == str(story.today - timedelta(days=1))


def test_an_empty_table_still_answers(delays: Any, story: Any) -> None:
    known = delays.features.known(delays.ingest.empty(), story.today)
    row = {"carrier": "QQ", "origin": "JFK", "dest": "QQQ", "sched_dep": f"{story.today}T17:05:00-04:00"}
    given = delays.features.model_row(row, known, {})
    assert (given["hour"], given["distance_mi"], given["carrier_late_rate"], known.feature_date) == (
        17.0,
        None,
        None,
        None,
    )


@pytest.mark.parametrize("text", ["2024-07-09T17:05:00-04:00", "2024-07-09T17:05+09:00", "20240709T170500Z"])
def test_day_and_hour_are_those_written(text: str, delays: Any) -> None:
    assert delays.features.departure(text) == (DAY, 17)


def test_holdout_and_training_are_apart_in_time(delays: Any, settings: Any, table: pd.DataFrame, story: Any) -> None:
    train, holdout = delays.training.split(settings, table, story.today)
    day = {name: str(story.today - timedelta(days=n)) for name, n in {"a": 67, "b": 8, "c": 7, "d": 1}.items()}
    assert (train["date"].min(), train["date"].max()) == (day["a"], day["b"])
    assert (holdout["date"].min(), holdout["date"].max()) == (day["c"], day["d"])
    arrived = table["arr_delay_min"].notna() & (table["date"] >= day["c"])
    assert len(holdout) == arrived.sum()


def test_the_digest_moves_with_any_label_and_with_nothing_else(
    delays: Any, settings: Any, table: pd.DataFrame, story: Any
) -> None:
    def digest(rows: pd.DataFrame) -> str:
        return str(delays.training.lineage(*delays.training.split(settings, rows, story.today))["data_digest"])

    usual = digest(table)
    assert digest(table.sample(frac=1, random_state=3)) == usual
    for n in (3, 30):
        at = table.index[(table["date"] == str(story.today - timedelta(days=n))) & table["arr_delay_min"].lt(0)][0]
        assert digest(table.assign(arr_delay_min=table["arr_delay_min"].where(table.index != at, 99.0))) != usual


@dataclass(frozen=True)
class Fitted:
    """A model's holdout, and its risks there."""

    holdout: pd.DataFrame
    risks: np.ndarray


def fit(delays: Any, table: pd.DataFrame, story: Any) -> Fitted:
    """A model that was fitted anew."""
    train, holdout = delays.training.split(delays.config.load(WORKSPACE), table, story.today)
    return Fitted(holdout, delays.training.fit(train).predict_proba(holdout[delays.features.INPUTS])[:, 1])


@pytest.fixture(scope="module")
def fitted(delays: Any, table: pd.DataFrame, story: Any) -> Fitted:
    """A model of the story; read only."""
    return fit(delays, table, story)


def test_two_fits_on_the_same_rows_answer_alike(delays: Any, table: pd.DataFrame, story: Any, fitted: Fitted) -> None:
    assert np.abs(fit(delays, table, story).risks - fitted.risks).max() <= 1e-9


@pytest.mark.parametrize(
    ("challenger", "champion", "promoted"),
    [
        ("good", "worse", True),
        ("good", "good", False),
        ("worse", "good", False),
        ("constant", "worse", False),
        ("constant", "good", False),
        ("slightly better", "good", False),
        ("good", None, True),
        ("constant", None, False),
        ("not numbers", "worse", False),
    ],
)
def test_the_gate_promotes_what_is_better_by_more_than_luck(
    challenger: str, champion: str | None, promoted: bool, delays: Any, settings: Any, fitted: Fitted
) -> None:
    holdout, good = fitted.holdout, fitted.risks
    risks = {
        "good": good,
        "worse": 1 - good,
        "constant": np.full(len(good), holdout["late"].mean()),
        "slightly better": np.where(holdout["late"] == 1, good * 1.001, good),
        "not numbers": np.full(len(good), np.nan),
    }
    standing = risks[champion] if champion else None
    decision = delays.gate.decide(holdout, risks[challenger], standing, settings.gate)
    assert decision.promote is promoted, decision.reason
    assert decision.reason
