"""Deliveries land once, by key, in canonical units, with the weather of their hour; nothing is lost or doubled."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from broken_workspace_parts import (
    DAY,
    IN_METRIC,
    KM,
    METRIC,
    alerts,
    deliver,
    flights,
    land,
    weather,
)


def test_the_same_flights_and_weather_in_other_units_give_the_same_rows(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(), weather(), source="JFK")
    metric = {name: IN_METRIC[name] for name in ("temp", "wind", "precip", "visib")}
    sky = weather().assign(**{name: convert(weather()[name]) for name, convert in metric.items()})
    flown = flights().assign(distance=flights()["distance"] * KM)
    deliver(settings.root, flown, sky, source="LGA", units=METRIC)
    table = land(delays, settings)
    usual, other = (table[table["origin"] == name].drop(columns="origin") for name in ("JFK", "LGA"))
    pd.testing.assert_frame_equal(usual.reset_index(drop=True), other.reset_index(drop=True), rtol=1e-9)


def test_knots_are_converted(delays: Any) -> None:
    found = delays.deliveries.canonical(pd.DataFrame({"wind": [10.0]}), {"wind": "kn"})
    assert found["wind_mph"].tolist() == pytest.approx([11.507794480235425])


def test_a_missing_value_stays_missing_and_a_missing_hour_has_no_weather(delays: Any, settings: Any) -> None:
    sky = weather()
    sky.loc[sky["hour"] == 6, "humid"] = np.nan
    deliver(settings.root, flights(), sky[sky["hour"] != 9])
    table = land(delays, settings)
    hour = table["sched_dep"].str[11:13].astype(int)
    assert table.loc[hour == 6, "humid_pct"].isna().all()
    assert table.loc[hour == 6, "temp_f"].tolist() == [56.0] * 4
    assert table.loc[hour == 9, delays.ingest.WEATHER].isna().all(axis=None)


def test_weather_is_that_of_the_hour_as_written_whatever_the_offset(delays: Any, settings: Any) -> None:
    flown = flights()
    deliver(settings.root, flown.assign(sched_dep=flown["sched_dep"].str.replace("-04:00", "+05:30")), weather())
    table = land(delays, settings)
    assert (table["temp_f"] == 50 + table["sched_dep"].str[11:13].astype(int)).all()


def test_a_later_delivery_replaces_rows_of_the_same_key_and_keeps_the_others(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(arr_delay=np.nan), weather())
    land(delays, settings)
    deliver(settings.root, flights(10, first=56, arr_delay=30.0), weather(temp=70.0), number=2)
    table = land(delays, settings).set_index("flight")
    assert len(table) == 65
    assert table.loc[56:65, "arr_delay_min"].eq(30.0).all()
    assert table.loc[1:55, "arr_delay_min"].isna().all()
    assert table["temp_f"].eq(70.0).all()


def test_a_later_delivery_may_lack_a_part(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(), weather())
    deliver(settings.root, None, weather(temp=71.0), number=2)
    deliver(settings.root, flights(1, first=99), None, number=3)
    table = land(delays, settings)
    assert len(table) == 61
    assert table["temp_f"].eq(71.0).all()


def test_one_flight_number_may_leave_two_airports_on_a_day(delays: Any, settings: Any) -> None:
    for source in ("EWR", "JFK"):
        deliver(settings.root, flights(), weather(), source=source)
    assert len(land(delays, settings)) == 120


def test_landing_again_changes_no_byte_and_says_nothing_more(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(), weather())
    deliver(settings.root, flights(20), weather(), source="LGA")
    land(delays, settings)
    before, said = settings.table.read_bytes(), alerts(settings)
    land(delays, settings)
    assert settings.table.read_bytes() == before
    assert alerts(settings) == said == [("source_quarantined", "LGA")]


def test_landing_night_by_night_and_all_at_once_give_the_same_bytes(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(), weather())
    land(delays, settings)
    deliver(settings.root, flights(5, first=80), None, number=2)
    deliver(settings.root, flights(day=DAY + timedelta(days=1)), weather(), source="EWR", day=DAY + timedelta(days=1))
    land(delays, settings, DAY + timedelta(days=2))
    bit_by_bit = settings.table.read_bytes()
    shutil.rmtree(settings.table.parent)
    land(delays, settings, DAY + timedelta(days=2))
    assert settings.table.read_bytes() == bit_by_bit


def test_rows_that_got_lost_or_doubled_in_the_table_are_landed_anew(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(), weather())
    right = land(delays, settings)
    for wrong in (right.head(50), pd.concat([right, right.tail(3)])):
        _, ledger = delays.ingest.read(settings)
        delays.ingest.write(settings, wrong, ledger)
        pd.testing.assert_frame_equal(land(delays, settings), right)


def test_a_table_that_is_not_what_was_delivered_is_no_success(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(), weather())
    table = land(delays, settings)
    _, ledger = delays.ingest.read(settings)
    with pytest.raises(delays.ingest.CountsDiffer, match="60 flights were delivered, 59"):
        delays.ingest.reconcile(table.head(59), ledger)
    with pytest.raises(delays.ingest.CountsDiffer, match="have the key of another"):
        delays.ingest.reconcile(pd.concat([table.head(59), table.head(1)]), ledger)
