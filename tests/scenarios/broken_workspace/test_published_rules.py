"""A delivery that breaks a published rule is quarantined with its reason, and stops no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from broken_workspace_parts import (
    DAY,
    USUAL,
    alerts,
    deliver,
    flights,
    land,
    record,
    weather,
)

BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "rows are not the manifest's": (lambda root: deliver(root, flights(), weather(), rows=61), "60 rows"),
    "sha256 is not the manifest's": (lambda root: deliver(root, flights(), weather(), sha256="0"), "sha256"),
    "a file is missing": (lambda root: deliver(root, flights(), weather(), file="2.flights.csv"), "missing"),
    "a column is missing": (lambda root: deliver(root, flights().drop(columns="dest"), weather()), "no column dest"),
    "text where a number is due": (lambda root: deliver(root, flights(arr_delay="soon"), weather()), "a number is due"),
    "no distance": (lambda root: deliver(root, flights(distance=np.nan), weather()), "distance_mi"),
    "an unknown unit": (lambda root: deliver(root, flights(), weather(), units={**USUAL, "temp": "K"}), "temp comes"),
    "no unit": (lambda root: deliver(root, flights(), weather(), units={"distance": "mi"}), "temp comes in"),
    "a key twice": (lambda root: deliver(root, flights(flight=[*range(59), 3]), weather()), "flight"),
    "an hour twice": (lambda root: deliver(root, flights(), weather(hour=[*range(23), 3])), "hour"),
    "too few flights": (lambda root: deliver(root, flights(49), weather()), "fewer than 50"),
    "too hot in Celsius": (
        lambda root: deliver(root, flights(), weather(temp=60.0), units={**USUAL, "temp": "C"}), "temp_f",
    ),
    "too far": (lambda root: deliver(root, flights(distance=6001.0), weather()), "distance_mi"),
    "too late": (lambda root: deliver(root, flights(arr_delay=2001.0), weather()), "arr_delay_min"),
    "endless": (lambda root: deliver(root, flights(dep_delay=np.inf), weather()), "dep_delay_min"),
    "wind too often missing": (
        lambda root: deliver(root, flights(), weather(wind=[np.nan] * 8 + [9.0] * 16)), "wind_mph",
    ),
    "no manifest": (
        lambda root: (deliver(root, flights(), weather()), _manifest(root).write_text("{"))[0], "not as documented",
    ),
}  # fmt: skip


def _manifest(root: Path) -> Path:
    return root / "feeds" / "JFK" / str(DAY) / "1.json"


@pytest.mark.parametrize("what", BROKEN)
def test_a_delivery_that_breaks_a_rule_is_quarantined_and_the_others_land(
    what: str, delays: Any, settings: Any
) -> None:
    write, reason = BROKEN[what]
    write(settings.root)
    deliver(settings.root, flights(), weather(), source="LGA")
    table = land(delays, settings)
    assert table["origin"].unique().tolist() == ["LGA"]
    said = record(settings)
    assert reason in said["reason"]
    assert {**said, "reason": ""} == {
        "source": "JFK", "date": str(DAY), "delivery": 1, "reason": "", "released": None,
    }  # fmt: skip
    assert alerts(settings) == [("source_quarantined", "JFK")]
    assert delays.ingest.quarantined(settings, DAY) == ["JFK"]


ALLOWED: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "three in ten hours without wind": (flights(), weather(wind=[np.nan] * 7 + [9.0] * 17)),
    "no precipitation and no pressure at all": (flights(), weather(precip=np.nan, pressure=np.nan)),
    "the edges of the ranges": (flights(distance=50.0, arr_delay=2000.0, air_time=5.0), weather(temp=130.0, humid=0.0)),
    "cancelled flights": (flights(dep_delay=np.nan, air_time=np.nan, arr_delay=np.nan), weather()),
    "another order of columns": (flights().iloc[:, ::-1], weather().iloc[:, ::-1]),
    "50 flights": (flights(50), weather()),
    "few hours": (flights(), weather().head(3)),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_what_the_rules_allow_lands(what: str, delays: Any, settings: Any) -> None:
    flown, sky = ALLOWED[what]
    deliver(settings.root, flown, sky)
    assert len(land(delays, settings)) == len(flown)
    assert not record(settings)


def test_a_mended_source_lands_and_is_released(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(), weather(temp=200.0))
    assert land(delays, settings).empty
    deliver(settings.root, flights(), weather(), number=2)
    assert len(land(delays, settings, DAY + timedelta(days=3))) == 60
    assert (record(settings)["delivery"], record(settings)["released"]) == (1, str(DAY + timedelta(days=3)))
    assert delays.ingest.quarantined(settings, DAY) == []
    land(delays, settings, DAY + timedelta(days=4))
    assert record(settings)["released"] == str(DAY + timedelta(days=3))
    assert alerts(settings) == [("source_quarantined", "JFK")]


def test_a_refused_later_delivery_leaves_what_stands(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(), weather())
    before = land(delays, settings)
    deliver(settings.root, flights(distance=9.0), None, number=2)
    pd.testing.assert_frame_equal(land(delays, settings), before)
    assert (record(settings)["delivery"], record(settings)["released"]) == (2, None)


def test_a_folder_in_a_delivery_stops_nobody(delays: Any, settings: Any) -> None:
    deliver(settings.root, flights(), weather())
    (settings.root / "feeds" / "JFK" / str(DAY) / "old").mkdir()
    assert len(land(delays, settings)) == 60
