"""The healthy tree of broken_pipeline keeps the brief's contracts, on files, a real registry and a real service."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from harness import scenario as scenarios
from harness.model import Site

SCENARIO = scenarios.find("broken_pipeline")
WORKSPACE = SCENARIO.folder / "workspace"
PROVIDER = SCENARIO.folder.parent / "_base" / "provider.py"
MODULES = (
    "config", "deliveries", "contract", "ingest", "features", "training", "gate", "registry", "answers", "nightly",
    "monitor",
)  # fmt: skip
DAY = date(2024, 7, 9)
USUAL = {"temp": "F", "humid": "%", "wind": "mph", "precip": "in", "visib": "mi", "pressure": "mb", "distance": "mi"}
METRIC = {"temp": "C", "humid": "%", "wind": "m/s", "precip": "mm", "visib": "km", "pressure": "hPa", "distance": "km"}
KM = 1.609344
IN_METRIC: Mapping[str, Callable[[Any], Any]] = {
    "temp": lambda f: (f - 32) / 1.8,
    "wind": lambda mph: mph * KM / 3.6,
    "precip": lambda inches: inches * 25.4,
    "visib": lambda mi: mi * KM,
    "distance": lambda mi: mi * KM,
}
READY_S = 60.0
FOLLOWED_S = 30.0


@pytest.fixture(scope="module")
def delays() -> Iterator[SimpleNamespace]:
    """The modules of the workspace's package, and no others of that name."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "delays"}
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(WORKSPACE))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(f"delays.{name}") for name in MODULES})
    finally:
        sys.path.remove(str(WORKSPACE))
        for name in [name for name in sys.modules if name.split(".")[0] == "delays"]:
            del sys.modules[name]
        sys.modules.update(before)


@pytest.fixture
def settings(delays: SimpleNamespace, tmp_path: Path) -> Any:
    """Settings for an empty workspace."""
    shutil.copyfile(WORKSPACE / "config.toml", tmp_path / "config.toml")
    return delays.config.load(tmp_path)


# --- deliveries by hand -----------------------------------------------------------------------------------------------


def flights(count: int = 60, first: int = 1, day: date = DAY, **columns: Any) -> pd.DataFrame:
    """Flights as delivered, one every quarter of an hour from 05:00 on."""
    numbers = np.arange(first, first + count)
    minutes = [300 + 15 * (n % 72) for n in range(count)]
    frame = pd.DataFrame(
        {
            "carrier": "NA",
            "flight": numbers,
            "dest": np.where(numbers % 2, "AAA", "BBB"),
            "sched_dep": [f"{day}T{m // 60:02d}:{m % 60:02d}:00-04:00" for m in minutes],
            "distance": np.where(numbers % 2, 500.0, 1200.5),
            "dep_delay": 5.0,
            "air_time": 90.0,
            "arr_delay": np.where(numbers % 7, -3.0, 75.0),
        }
    )
    return frame.assign(**columns)


def weather(**columns: Any) -> pd.DataFrame:
    """A day's weather as delivered: every hour another temperature."""
    hours = np.arange(24)
    frame = pd.DataFrame(
        {"hour": hours, "temp": 50.0 + hours, "humid": 60.0, "wind": 10.0, "precip": 0.0, "visib": 10.0}
    )
    return frame.assign(pressure=1012.0).assign(**columns)


def deliver(
    root: Path,
    flown: pd.DataFrame | None,
    sky: pd.DataFrame | None,
    number: int = 1,
    source: str = "JFK",
    day: date = DAY,
    units: Mapping[str, str] = USUAL,
    **lies: Any,
) -> None:
    """Write a delivery; `lies` are put into both parts of the manifest."""
    folder = root / "feeds" / source / str(day)
    folder.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {"source": source, "date": str(day), "delivery": number}
    for part, frame in (("flights", flown), ("weather", sky)):
        if frame is None:
            continue
        content = frame.to_csv(index=False, lineterminator="\n").encode()
        (folder / f"{number}.{part}.csv").write_bytes(content)
        named = {name: unit for name, unit in units.items() if name in frame}
        said = {"file": f"{number}.{part}.csv", "rows": len(frame), "sha256": hashlib.sha256(content).hexdigest()}
        manifest[part] = {**said, "units": named, **lies}
    (folder / f"{number}.json").write_text(json.dumps(manifest))


def land(delays: SimpleNamespace, settings: Any, day: date = DAY + timedelta(days=1)) -> pd.DataFrame:
    """The table after landing on `day`."""
    table: pd.DataFrame = delays.ingest.land(settings, day)
    return table


def alerts(settings: Any) -> list[tuple[str, str]]:
    """Kind and subject of every alert."""
    path = settings.state / "alerts.jsonl"
    said = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return [(alert["kind"], alert["subject"]) for alert in said]


def record(settings: Any, source: str = "JFK", day: date = DAY) -> dict[str, Any]:
    """The quarantine record of a source's day, {} where there is none."""
    path = settings.root / "quarantine" / source / f"{day}.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


# --- landing ----------------------------------------------------------------------------------------------------------


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


# --- the published rules ----------------------------------------------------------------------------------------------

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


# --- features, training, gate -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def story() -> SimpleNamespace:
    """A drawn world: its values, what really happened, and the business date."""
    values = SCENARIO.story().values(random.Random("workspace"))
    world = SCENARIO.module("world").read(values)
    return SimpleNamespace(values=values, world=world, today=date.fromisoformat(values["business_date"]))


@pytest.fixture(scope="module")
def table(delays: SimpleNamespace, story: SimpleNamespace) -> pd.DataFrame:
    """The canonical table as it should be for D-81 to D-1."""
    part = story.world.between(story.today - timedelta(days=81), story.today - timedelta(days=1))
    flown = part.flights.assign(hour=part.flights["sched_dep"].str[11:13].astype(int))
    rows = flown.merge(part.weather.astype({"hour": int}), how="left", on=["date", "origin", "hour"])
    types = delays.ingest.TYPES
    return rows[list(types)].astype(types).sort_values(delays.ingest.KEY, ignore_index=True)


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


# --- answers, corrections, alerts -------------------------------------------------------------------------------------


def logged_row(delays: Any, settings: Any, row_id: str, distance: float | None, leaves: date, scored: date) -> None:
    """A line of the log about JFK to AAA."""
    row = {"row_id": row_id, "carrier": "NA", "flight": 1, "origin": "JFK", "dest": "AAA"}
    row["sched_dep"] = f"{leaves}T17:00:00-04:00"
    said = {"features": {"distance_mi": distance}, "p_late": 0.25, "model": {"version": "1"}}
    delays.answers.append(settings, [row], [said], scored)


def test_only_answers_on_a_wrong_distance_about_flights_ahead_are_affected(delays: Any, settings: Any) -> None:
    before = DAY - timedelta(days=2)
    for row_id, distance, leaves in (
        ("right", 500.0, DAY),
        ("rounded", 500.05, DAY),
        ("wrong", 804.7, DAY),
        ("unknown then", None, DAY + timedelta(days=1)),
        ("gone", 804.7, DAY - timedelta(days=1)),
    ):
        logged_row(delays, settings, row_id, distance, leaves, before)
    known = delays.features.Known(None, {"carrier": {}, "origin": {}}, {("JFK", "AAA"): 500.0})
    assert delays.answers.affected(settings, known, DAY)["row_id"].tolist() == ["wrong", "unknown then"]


def test_a_superseded_answer_is_corrected_once_and_a_wrong_correction_again(delays: Any, settings: Any) -> None:
    logged_row(delays, settings, "a", 804.7, DAY, DAY - timedelta(days=1))
    row = {
        "row_id": "b",
        "carrier": "NA",
        "flight": 1,
        "origin": "JFK",
        "dest": "AAA",
        "sched_dep": f"{DAY}T17:00:00-04:00",
    }
    said = {"features": {"distance_mi": 500.0}, "p_late": 0.2, "model": {"version": "1"}}
    delays.answers.append(settings, [row], [said], DAY, ["a"])
    at = {miles: delays.features.Known(None, {}, {("JFK", "AAA"): miles}) for miles in (500.0, 600.0)}
    assert delays.answers.affected(settings, at[500.0], DAY).empty
    assert delays.answers.affected(settings, at[600.0], DAY)["row_id"].tolist() == ["b"]


def test_an_empty_log_has_nothing_to_correct(delays: Any, settings: Any) -> None:
    known = delays.features.Known(None, {}, {})
    assert delays.answers.affected(settings, known, DAY).empty


APPENDING = """
import multiprocessing, sys
from datetime import date, timedelta
from pathlib import Path
from delays import answers, config

settings, first = config.load(Path(sys.argv[1])), date.fromisoformat(sys.argv[2])
said = {"features": {"distance_mi": 1.0}, "p_late": 0.1, "model": {"version": "1"}}

def append(worker):
    flight = {"carrier": "NA", "origin": "JFK", "dest": "AAA", "sched_dep": "x"}
    for n in range(50):
        row, day = {"row_id": f"{worker}-{n}", "flight": n, **flight}, first + timedelta(days=n % 10)
        together.wait(60)
        answers.append(settings, [row] * 3, [said] * 3, day)
        config.alert(settings, "drift", f"{worker}", "text", day)

context = multiprocessing.get_context("fork")
together = context.Barrier(3)
workers = [context.Process(target=append, args=(n,)) for n in range(3)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
sys.exit(sum(worker.exitcode != 0 for worker in workers))
"""
"""Workers that write together, to a new file time and again: each file's first line is the one that may come twice."""


@pytest.mark.parametrize("file", ["predictions", "alerts"])
def test_a_writer_waits_until_another_is_done(file: str, delays: Any, settings: Any) -> None:
    path = settings.state / ("alerts.jsonl" if file == "alerts" else f"predictions/{DAY}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    flight = {"row_id": "1", "carrier": "NA", "flight": 1, "origin": "JFK", "dest": "AAA", "sched_dep": "x"}
    said = {"features": {"distance_mi": 1.0}, "p_late": 0.1, "model": {"version": "1"}}
    if file == "alerts":
        writer = threading.Thread(target=delays.config.alert, args=(settings, "drift", "temp_f", "text", DAY))
    else:
        writer = threading.Thread(target=delays.answers.append, args=(settings, [flight], [said], DAY))
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writer.start()
        writer.join(1.0)
        assert writer.is_alive()
        assert path.stat().st_size == 0
    writer.join(30.0)
    assert not writer.is_alive()
    assert path.stat().st_size > 0


def test_workers_that_write_at_once_lose_and_break_no_line(settings: Any) -> None:
    command = [sys.executable, "-c", APPENDING, str(settings.root), str(DAY)]
    environment = {**os.environ, "PYTHONPATH": str(WORKSPACE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    logs = sorted((settings.state / "predictions").iterdir())
    assert len(logs) == 10
    log = pd.concat(pd.read_csv(path) for path in logs)
    assert len(log) == 450
    assert log["row_id"].nunique() == 150
    said = [json.loads(line) for line in (settings.state / "alerts.jsonl").read_text().splitlines()]
    assert len({alert["id"] for alert in said}) == 150


def test_an_alert_of_the_watch_is_said_once_a_day(delays: Any, settings: Any) -> None:
    for day in (DAY, DAY, DAY + timedelta(days=1)):
        delays.config.alert(settings, "quality", "p_late", "text", day, once=True)
    assert alerts(settings) == [("quality", "p_late")] * 2


def test_an_unknown_kind_of_alert_is_a_bug(delays: Any, settings: Any) -> None:
    with pytest.raises(ValueError, match="no such kind"):
        delays.config.alert(settings, "drifted", "x", "text", DAY)


# --- the commands, against a registry, a provider and a running service -----------------------------------------------


@dataclass(frozen=True)
class Live:
    """A workspace with a drawn world's feeds, and the environment of its commands."""

    root: Path
    today: date
    environment: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the workspace."""
        return subprocess.run(words, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=180)

    def night(self, *more: str, day: date | None = None) -> tuple[int, dict[str, Any]]:
        """Exit code and report of a night."""
        day = day or self.today
        ended = self.run("bin/nightly", "--date", str(day), *more)
        path = self.root / "state" / "nightly" / f"{day}.json"
        assert ended.returncode in (0, 2, 3), ended.stdout + ended.stderr
        return ended.returncode, json.loads(path.read_text()) if path.is_file() else {}

    def registry(self) -> Any:
        """A client of the registry."""
        import mlflow  # here, as it takes two seconds: every worker imports this file

        return mlflow.MlflowClient(self.environment["MLFLOW_TRACKING_URI"])

    def twin(self) -> str:
        """The number of a new version with the model of version 1."""
        same = self.registry().get_model_version("flight-delay", "1")
        model = same.source.removeprefix("models:/")
        made = self.registry().create_model_version("flight-delay", same.source, same.run_id, model_id=model)
        return str(made.version)

    def aliases(self) -> dict[str, str]:
        """Versions by alias."""
        return dict(self.registry().get_registered_model("flight-delay").aliases)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, story: SimpleNamespace) -> Iterator[Live]:
    """The workspace after the night of the business date, which promoted the first version."""
    place, servers = tmp_path_factory.mktemp("live"), importlib.import_module("scenario_base.servers")
    site = Site(place / "workspace", place / "registry", place / "private")
    shutil.copytree(WORKSPACE, site.workspace, ignore=shutil.ignore_patterns("__pycache__", "var", "state"))
    SCENARIO.module("deliveries").write_feeds(story.world, story.values, story.today, site)
    site.registry.mkdir()
    clock = place / "clock"
    clock.write_text(f"{story.today}\n")
    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        uri = stack.enter_context(servers.registry_server(site.registry))
        provider = stack.enter_context(servers.provider_server(PROVIDER, site.private, clock))
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": uri,
            "PROVIDER_URL": provider,
            "BUSINESS_DATE_FILE": str(clock),
            "DO_NOT_TRACK": "1",
            "BENTOML_DO_NOT_TRACK": "True",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        here = Live(site.workspace, story.today, environment)
        code, report = here.night()
        assert (code, report["decision"]) == (0, "promoted"), report
        yield here


@pytest.mark.slow
def test_after_a_night_the_table_is_what_really_happened_but_for_quarantined_days(
    live: Live, table: pd.DataFrame, story: Any, delays: Any
) -> None:
    found = pd.read_parquet(live.root / "table").sort_values(delays.ingest.KEY, ignore_index=True)
    bad = story.values["bad"]
    refused = (table["origin"] == bad["source"]) & (table["date"] == bad["unmended"])
    right = table[~refused & (table["date"] < str(live.today - timedelta(days=3)))].reset_index(drop=True)
    found = found[found["date"] < str(live.today - timedelta(days=3))].reset_index(drop=True)
    assert len(found) == len(right)
    pd.testing.assert_frame_equal(found[delays.ingest.KEY], right[delays.ingest.KEY])
    assert (found[delays.ingest.WEATHER].isna() == right[delays.ingest.WEATHER].isna()).all(axis=None)
    for column, off in {"distance_mi": 0.01, "temp_f": 0.01, "wind_mph": 0.012, "visib_mi": 0.01}.items():
        assert (found[column] - right[column]).abs().max() <= off  # two digits of the delivered unit
    outcomes = ["dep_delay_min", "air_time_min", "arr_delay_min"]
    pd.testing.assert_frame_equal(found[outcomes], right[outcomes])


@pytest.mark.slow
def test_the_same_night_again_changes_no_row_no_alias_and_no_report(live: Live) -> None:
    before = ((live.root / "table" / "flights.parquet").read_bytes(), live.aliases(), live.night())
    after = ((live.root / "table" / "flights.parquet").read_bytes(), live.aliases(), live.night())
    assert after == before


@pytest.mark.slow
def test_a_version_says_what_made_it_and_its_metric_is_that_of_its_holdout(live: Live, delays: Any) -> None:
    import mlflow  # as above
    from sklearn.metrics import log_loss

    version = live.registry().get_model_version("flight-delay", "1")
    assert set(version.tags) >= {
        "data_digest", "code_digest", "train_from", "train_to", "holdout_from", "holdout_to", "metric", "metric_value",
    }  # fmt: skip
    run = live.registry().get_run(version.run_id)
    mlflow.set_tracking_uri(live.environment["MLFLOW_TRACKING_URI"])
    path = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="holdout.csv")
    holdout = pd.read_csv(path)
    assert holdout.columns[:4].tolist() == delays.ingest.KEY
    assert {*delays.features.INPUTS, "late", "p_late"} <= set(holdout.columns)
    assert holdout["date"].min() == version.tags["holdout_from"] == str(live.today - timedelta(days=7))
    loss = log_loss(holdout["late"], holdout["p_late"])
    assert loss == pytest.approx(float(version.tags["metric_value"]), abs=1e-9)
    assert loss == pytest.approx(run.data.metrics["log_loss"], abs=1e-9)
    assert run.data.metrics["baseline_log_loss"] > loss
    model = mlflow.pyfunc.load_model("models:/flight-delay/1")
    assert model.metadata.signature is not None
    again = np.asarray(model.predict(holdout[delays.features.INPUTS]))
    assert again.shape == (len(holdout), 2)
    assert np.abs(again[:, 1] - holdout["p_late"]).max() <= 1e-9


@pytest.mark.slow
def test_training_again_says_which_version_it_was_and_moves_no_alias(live: Live) -> None:
    before = live.aliases()
    said = [json.loads(live.run("bin/train", "--as-of", str(live.today)).stdout.splitlines()[-1]) for _ in range(2)]
    assert said[0] == said[1]
    assert said[0]["run_id"] == live.registry().get_model_version("flight-delay", said[0]["version"]).run_id
    assert live.aliases() == before


@pytest.mark.slow
def test_a_night_beside_another_ends_with_3(live: Live) -> None:
    (live.root / "var").mkdir(exist_ok=True)
    with (live.root / "var" / "nightly.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert live.run("bin/nightly", "--date", str(live.today)).returncode == 3


@pytest.mark.slow
def test_a_night_for_which_nothing_came_ends_with_2(live: Live) -> None:
    before = live.aliases()
    code, report = live.night(day=live.today + timedelta(days=1))
    assert (code, report["decision"]) == (2, "refused")
    assert live.aliases() == before


@pytest.mark.slow
def test_a_challenger_that_is_the_champion_s_equal_is_held(live: Live) -> None:
    twin = live.twin()
    code, report = live.night("--challenger", twin)
    assert (code, report["decision"], report["challenger"]) == (0, "held", twin)
    assert live.aliases()["champion"] == "1"


@pytest.fixture(scope="module")
def address(live: Live) -> Iterator[str]:
    """The address of the running service."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**live.environment, "PORT": str(port)}
    url, log = f"http://127.0.0.1:{port}", live.root / "var" / "serve.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            ["bin/serve"], cwd=live.root, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            until(lambda: httpx.get(f"{url}/readyz", timeout=2).status_code == 200, READY_S, log.read_text)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def until(looks_right: Callable[[], bool], seconds: float, diagnosis: Callable[[], str]) -> None:
    """Poll until something is so; fails with the diagnosis after that long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(httpx.HTTPError):
            if looks_right():
                return
        time.sleep(0.2)
    pytest.fail(f"not within {seconds:.0f} s: {diagnosis()[-3000:]}")


def questions(live: Live, story: Any, count: int = 40) -> list[dict[str, Any]]:
    """Rows about flights of the business date."""
    flown = story.world.between(live.today, live.today).flights.head(count)
    columns = ["carrier", "flight", "origin", "dest", "sched_dep"]
    rows = flown[columns].astype({"flight": object}).to_dict("records")
    return [{"row_id": f"q{n}", **row, "flight": int(row["flight"])} for n, row in enumerate(rows)]


def ask(address: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers to rows."""
    answer = httpx.post(f"{address}/predict", json={"rows": rows}, timeout=10)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


@pytest.mark.slow
def test_answers_are_those_of_the_champion_on_the_table_and_the_forecast(
    live: Live, address: str, story: Any, delays: Any
) -> None:
    rows = questions(live, story)
    answers = ask(address, rows)
    assert [answer["row_id"] for answer in answers] == [row["row_id"] for row in rows]
    version = live.registry().get_model_version("flight-delay", live.aliases()["champion"])
    assert {(a["model"]["version"], a["model"]["run_id"]) for a in answers} == {(version.version, version.run_id)}
    assert {answer["feature_date"] for answer in answers} == {str(live.today - timedelta(days=1))}
    sky = story.world.between(live.today, live.today).weather.set_index(["origin", "hour"])
    for row, answer in zip(rows, answers, strict=True):
        right = sky.loc[(row["origin"], int(row["sched_dep"][11:13]))]
        assert list(answer["features"]) == delays.features.INPUTS
        for name in delays.ingest.WEATHER:
            said = answer["features"][name]
            assert (said is None) == pd.isna(right[name])
            assert said is None or said == pytest.approx(right[name], abs=0.02)
    alone = [ask(address, [row])[0] for row in rows[:5]]
    assert [a["p_late"] for a in alone] == pytest.approx([a["p_late"] for a in answers[:5]], abs=1e-6)


BAD_ROWS: dict[str, dict[str, Any]] = {
    "carrier": {"carrier": 12},
    "flight": {"flight": "12"},
    "origin": {"origin": "BOS"},
    "sched_dep": {"sched_dep": "2024-07-09T17:00:00"},
    "dest": {"dest": None},
    "altitude": {"altitude": 3},
    "row_id": {"row_id": ""},
}


@pytest.mark.slow
@pytest.mark.parametrize("field", BAD_ROWS)
def test_a_bad_row_gets_a_4xx_that_names_the_field(field: str, live: Live, address: str, story: Any) -> None:
    good = questions(live, story, 1)[0]
    answer = httpx.post(f"{address}/predict", json={"rows": [good, {**good, **BAD_ROWS[field]}]}, timeout=10)
    assert 400 <= answer.status_code < 500
    assert field in answer.text


@pytest.mark.slow
def test_a_flight_of_another_month_is_out_of_range(live: Live, address: str, story: Any) -> None:
    row = questions(live, story, 1)[0]
    row["sched_dep"] = f"{live.today + timedelta(days=40)}{row['sched_dep'][10:]}"
    answer = httpx.post(f"{address}/predict", json={"rows": [row]}, timeout=10)
    assert answer.status_code == 422
    assert "sched_dep" in answer.text


@pytest.mark.slow
def test_an_unknown_carrier_route_and_hour_get_an_answer(live: Live, address: str, story: Any) -> None:
    row = {**questions(live, story, 1)[0], "carrier": "7Q", "dest": "QQQ"}
    row["sched_dep"] = f"{live.today + timedelta(days=8)}T23:05:00-04:00"
    said = ask(address, [row])[0]
    assert said["features"]["carrier_late_rate"] is None
    assert said["features"]["distance_mi"] is None
    assert 0 < said["p_late"] < 1


@pytest.mark.slow
def test_every_worker_follows_the_alias_and_no_request_fails(live: Live, address: str, story: Any) -> None:
    rows = questions(live, story, 3)
    twin = live.twin()
    for number in (twin, "1"):
        live.registry().set_registered_model_alias("flight-delay", "champion", number)

        def followed(number: str = number) -> bool:
            return {ask(address, rows)[0]["model"]["version"] for _ in range(30)} == {number}

        until(followed, FOLLOWED_S, lambda: "some answers came from the version before")


@pytest.mark.slow
def test_a_wrong_distance_is_corrected_by_the_night_and_by_no_later_one(
    live: Live, address: str, story: Any, delays: Any
) -> None:
    rows = questions(live, story, 2)
    answers = ask(address, rows)
    wrong = {**answers[0], "features": {**answers[0]["features"], "distance_mi": 9.0}}
    asked = [{**row, "row_id": name} for row, name in zip(rows, ("wrong", "right"), strict=True)]
    settings = delays.config.load(live.root)
    delays.answers.append(settings, asked, [wrong, answers[1]], live.today - timedelta(days=1))
    before = (live.root / "state" / "predictions" / f"{live.today - timedelta(days=1)}.csv").read_bytes()
    for _ in range(2):
        assert live.night()[0] == 0
        log = pd.read_csv(live.root / "state" / "predictions" / f"{live.today}.csv", dtype=str).dropna(
            subset="supersedes"
        )
        assert log["supersedes"].tolist() == ["wrong"]
        assert float(log["p_late"].iloc[0]) == pytest.approx(answers[0]["p_late"], abs=1e-9)
        assert float(log["distance_mi"].iloc[0]) == answers[0]["features"]["distance_mi"]
    assert (live.root / "state" / "predictions" / f"{live.today - timedelta(days=1)}.csv").read_bytes() == before


@pytest.mark.slow
def test_serving_follows_the_table(live: Live, address: str, story: Any, delays: Any) -> None:
    settings, row = delays.config.load(live.root), questions(live, story, 1)[0]
    table, ledger = delays.ingest.read(settings)
    route = (table["origin"] == row["origin"]) & (table["dest"] == row["dest"])
    right = ask(address, [row])[0]["features"]["distance_mi"]
    try:
        delays.ingest.write(settings, table.assign(distance_mi=table["distance_mi"].mask(route, 123.0)), ledger)

        def followed() -> bool:
            return {ask(address, [row])[0]["features"]["distance_mi"] for _ in range(20)} == {123.0}

        until(followed, FOLLOWED_S, lambda: "some answers have the distance of the table before")
    finally:
        delays.ingest.write(settings, table, ledger)
    until(lambda: ask(address, [row])[0]["features"]["distance_mi"] == right, FOLLOWED_S, lambda: "still 123 miles")


@pytest.mark.slow
def test_the_monitor_names_what_is_wrong_with_a_window_and_is_silent_on_a_clean_one(
    live: Live, table: pd.DataFrame, delays: Any
) -> None:
    first, last = live.today - timedelta(days=67), live.today - timedelta(days=8)
    rows = delays.features.training_frame(table, first, last)
    (live.root / "monitoring").mkdir(exist_ok=True)
    snapshot = rows.sample(5000, random_state=1)
    snapshot[[*delays.features.INPUTS, "late"]].to_csv(live.root / "monitoring" / "snapshot.csv", index=False)
    risk = delays.training.fit(rows).predict_proba
    clean = rows.sample(500, random_state=2)[delays.features.INPUTS].reset_index(drop=True)
    p_late = risk(clean)[:, 1]
    late = (np.random.default_rng(3).random(500) < p_late).astype(int)
    about = {"model_version": "1", "model_train_to": str(last), "business_date": str(live.today)}
    clean = clean.assign(p_late=p_late, late=late, **about)
    windows = {
        "clean": clean,
        "drift temp_f": clean.assign(temp_f=(clean["temp_f"] - 32) / 1.8),
        "nulls wind_mph": clean.assign(wind_mph=clean["wind_mph"].mask(clean.index < 200)),
        "nulls humid_pct": clean.drop(columns="humid_pct"),
        "model_stale 1": clean.assign(model_train_to=str(live.today - timedelta(days=60))),
        "quality p_late": clean.assign(p_late=1 - p_late),
    }
    words = []
    for name, window in windows.items():
        path = live.root / "var" / f"{name.replace(' ', '-')}.csv"
        window.to_csv(path, index=False)
        words += ["--window", str(path), "--id", name]
    path = live.root / "state" / "alerts.jsonl"
    before = len(path.read_text().splitlines())
    ended = live.run("bin/monitor", *words)
    assert ended.returncode == 0, ended.stderr
    said = [json.loads(line) for line in path.read_text().splitlines()[before:]]
    assert [f"{alert['kind']} {alert['subject']}" for alert in said] == [name for name in windows if name != "clean"]
    assert [alert["window_id"] for alert in said] == [name for name in windows if name != "clean"]


WATCHED = "import sys; from datetime import date; from delays import config, monitor; "
WATCHED += "monitor.daily(config.load(), date.fromisoformat(sys.argv[1]))"


def watched(live: Live, day: date) -> list[str]:
    """Kind and subject of what the watch says on a day, looking twice."""
    path = live.root / "state" / "alerts.jsonl"
    before = len(path.read_text().splitlines())
    for _ in range(2):
        ended = live.run("python", "-c", WATCHED, str(day))
        assert ended.returncode == 0, ended.stderr
    said = [json.loads(line) for line in path.read_text().splitlines()[before:]]
    return [f"{alert['kind']} {alert['subject']}" for alert in said]


@pytest.mark.slow
def test_the_watch_says_once_what_is_wrong_with_the_service(
    live: Live, table: pd.DataFrame, story: Any, delays: Any
) -> None:
    assert watched(live, live.today) == []
    assert watched(live, live.today + timedelta(days=38)) == ["model_stale 1"]
    settings, day = delays.config.load(live.root), live.today - timedelta(days=2)
    flown = table[table["date"] == str(day)].dropna(subset=["arr_delay_min"]).head(300)
    rows = [{"row_id": f"w{n}", **row} for n, row in enumerate(flown.to_dict("records"))]
    model = {"version": "1"}
    said = [{"features": {"distance_mi": row["distance_mi"]}, "p_late": 0.9, "model": model} for row in rows]
    delays.answers.append(settings, rows, said, day)
    assert watched(live, live.today) == ["quality p_late"]


# --- the size of it ---------------------------------------------------------------------------------------------------


def test_a_candidate_can_read_the_code_in_a_quarter_of_an_hour() -> None:
    modules = sorted((WORKSPACE / "delays").glob("*.py"))
    assert len(modules) <= 12
    assert all(path.read_text().startswith('"""') for path in modules)
