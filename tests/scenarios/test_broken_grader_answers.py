"""How the grader of broken_pipeline judges answers, trainings, quarantines and the log: by hand-made ones, no stack."""

from __future__ import annotations

import csv
import io
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness import scenario as scenarios
from harness.probes import load
from harness.probes.answers import Answer, ServedModel
from harness.probes.load_capacity import Saturation
from harness.probes.registry import Run, Version

SCENARIO = scenarios.find("broken_pipeline")
artifacts: Any = SCENARIO.module("grader.drills.artifacts")
corrections: Any = SCENARIO.module("grader.drills.corrections")
hidden: Any = SCENARIO.module("grader.drills.hidden")
inputs: Any = SCENARIO.module("grader.drills.inputs")
pair: Any = SCENARIO.module("grader.drills.pair")
quarantine: Any = SCENARIO.module("grader.drills.quarantine")
serving: Any = SCENARIO.module("grader.drills.serving")
speed: Any = SCENARIO.module("grader.drills.speed")
Promise: Any = speed.load.Promise
training: Any = SCENARIO.module("grader.drills.training")
truth: Any = SCENARIO.module("grader.drills.truth")

TODAY = date(2024, 7, 10)
SOURCES = ("EWR", "JFK", "LGA")
NOWHERE = {"EWR": 0, "JFK": 0, "LGA": 0}
Row = dict[str, Any]


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def skies(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Forecasts of ten days: Celsius at JFK, no two hours alike, gaps of pressure and of whole hours."""
    private = tmp_path_factory.mktemp("private")
    (private / "weather").mkdir()
    for n in range(-2, 10):
        day = TODAY + timedelta(days=n)
        said = {origin: forecast(origin, n) for origin in SOURCES}
        (private / "weather" / f"{day}.json").write_text(json.dumps(said), encoding="utf-8")
    return inputs.Skies(private)


def forecast(origin: str, n: int) -> Row:
    units = {"temp": "F", "humid": "%", "wind": "mph", "precip": "in", "visib": "mi", "pressure": "mb"}
    hours: dict[str, Row] = {}
    for hour in range(24):
        if (hour, n % 3) == (3, 1):
            continue
        temp = 60 + hour + n + 0.1 * len(hours)
        hours[str(hour)] = {
            "temp": round((temp - 32) / 1.8, 2) if origin == "JFK" else temp,
            "humid": 30 + 2 * hour + n / 7 + 0.3 * SOURCES.index(origin),
            "wind": 3.0 + (hour * 5 + n) % 24,
            "precip": 0.01 * (hour % 7),
            "visib": 10 - 0.3 * (hour % 11),
            "pressure": None if (hour + n) % 8 == 0 else 1000 + hour + n / 10,
        }
    return {"units": {**units, "temp": "C"} if origin == "JFK" else units, "hours": hours}


def rows(count: int = 72) -> list[Row]:
    """Questions about one to three days ahead, at every hour."""
    return [
        {
            "row_id": f"r{n}",
            "carrier": ("XA", "XB")[n % 2],
            "flight": 1 + n,
            "origin": SOURCES[n % 3],
            "dest": "AAA",
            "sched_dep": f"{TODAY + timedelta(days=1 + n // 24)}T{n % 24:02d}:10:00-04:00",
        }
        for n in range(count)
    ]


KNOWN_RATES = {"carrier": {"XA": 0.1, "XB": 0.2}, "origin": {"EWR": 0.11, "JFK": 0.12, "LGA": 0.13}}
KNOWN = serving.Known([KNOWN_RATES], {(origin, "AAA"): frozenset({500.0}) for origin in SOURCES})


class Linear:
    """A model whose risk is known of any inputs; missing ones count as 7."""

    def risks(self, role: str, asked: Sequence[Row]) -> Any:
        return np.array([linear(role, row) for row in asked])


def linear(role: str, row: Row) -> float:
    numbers = [7.0 if row.get(name) is None else float(row[name]) for name in inputs.NUMBERS]
    codes = 31 * sum(map(ord, str(row["carrier"]))) + sum(map(ord, str(row["origin"])))
    return float((sum((n + 1) * value for n, value in enumerate(numbers)) + codes + len(role)) % 97 / 100)


Echo = Callable[[Row, Row], Row]


def answered(skies: Any, asked: Sequence[Row], echo: Echo | None = None, model: Echo | None = None) -> Any:
    """Right answers; `echo` changes what is echoed, and `model` what the model is asked with."""
    found = []
    for row in asked:
        day, hour = serving.when(row)
        features: Row = {
            "carrier": row["carrier"],
            "origin": row["origin"],
            "hour": float(hour),
            "distance_mi": 500.0 if row["dest"] == "AAA" else None,
            **skies.at(row["origin"], day, hour),
            "carrier_late_rate": KNOWN_RATES["carrier"].get(row["carrier"]),
            "origin_late_rate": KNOWN_RATES["origin"][row["origin"]],
        }
        features = echo(row, features) if echo else features
        risk = linear("alpha", model(row, features) if model else features)
        said = ServedModel(name="flight-delay", version="7", run_id="abc")
        found.append(Answer(row_id=row["row_id"], p_late=risk, model=said, feature_date=str(TODAY), features=features))
    return serving.Said(asked, found)


def as_trained(skies: Any, said: Any, away: dict[str, int] | None = None) -> Any:
    return serving.as_trained(said, "alpha", Linear(), KNOWN, skies, away or NOWHERE)


def at(skies: Any, hours: int) -> Echo:
    """Echoes the weather so many hours away."""

    def echo(row: Row, features: Row) -> Row:
        day, hour = serving.when(row)
        return features | skies.at(row["origin"], day, hour + hours)

    return echo


def filled(value: float) -> Echo:
    return lambda row, features: {name: value if given is None else given for name, given in features.items()}


def test_right_answers_pass(skies: Any) -> None:
    said = answered(skies, rows())
    assert serving.weather_right(said, skies).ok
    assert serving.units_right(said, skies).ok
    assert as_trained(skies, said).ok
    assert serving.shifts(said, skies) == NOWHERE


@pytest.mark.parametrize("hours", [-4, -1, 1, 5])
def test_a_shifted_hour_is_seen_and_is_no_matter_of_units_or_of_serving(hours: int, skies: Any) -> None:
    said = answered(skies, rows(), at(skies, hours))
    assert not serving.weather_right(said, skies).ok
    away = serving.shifts(said, skies)
    assert set(away.values()) == {hours}
    assert serving.units_right(said, skies).ok
    assert as_trained(skies, said, away).ok


def test_degrees_that_are_not_converted_are_seen_and_are_no_matter_of_the_hour(skies: Any) -> None:
    def celsius(row: Row, features: Row) -> Row:
        known = row["origin"] == "JFK" and features["temp_f"] is not None
        return features | ({"temp_f": (features["temp_f"] - 32) / 1.8} if known else {})

    said = answered(skies, rows(), celsius)
    assert not serving.units_right(said, skies).ok
    assert serving.weather_right(said, skies).ok
    assert as_trained(skies, said).ok


def test_a_forecast_that_is_left_out_for_its_unit_is_seen_and_a_gap_is_not(skies: Any) -> None:
    def without(origin: str, column: str) -> Echo:
        return lambda row, features: features | ({column: None} if row["origin"] == origin else {})

    assert not serving.units_right(answered(skies, rows(), without("JFK", "temp_f")), skies).ok
    assert not serving.units_right(answered(skies, rows(), without("EWR", "wind_mph")), skies).ok
    hours = [row for row in rows() if skies.at(row["origin"], *serving.when(row))["temp_f"] is None]
    assert hours
    assert serving.units_right(answered(skies, hours), skies).ok


def test_a_hour_taken_from_the_offset_is_seen(skies: Any) -> None:
    base = answered(skies, rows(12))

    def by_offset(row: Row, features: Row) -> Row:
        return features | {"hour": (features["hour"] + 1) % 24}

    right = [answered(skies, each) for each in serving.other_offsets(base.rows)]
    assert serving.offsets_agree(base, right).ok
    wrong = [answered(skies, each, by_offset) for each in serving.other_offsets(base.rows)]
    assert not serving.offsets_agree(base, wrong).ok


def test_codes_that_serving_makes_anew_are_seen(skies: Any) -> None:
    other = {"XA": "XB", "XB": "XA"}
    said = answered(skies, rows(), model=lambda row, features: features | {"carrier": other[features["carrier"]]})
    assert not as_trained(skies, said).ok


def test_what_serving_fills_is_seen_whether_it_is_echoed_or_not(skies: Any) -> None:
    assert not as_trained(skies, answered(skies, rows(), model=filled(0.0))).ok
    echoed = answered(skies, rows(), echo=filled(0.0))
    assert not as_trained(skies, echoed).ok
    assert not serving.missing_echoed(echoed, skies, NOWHERE).ok


def test_odd_questions_are_asked_and_their_nulls_are_due(skies: Any) -> None:
    odd = serving.edges(rows(30))
    assert {row["carrier"] for row in odd} >= {"7Q", "XA"}
    assert {row["dest"] for row in odd} == {"QQQ", "AAA"}
    assert {row["sched_dep"][11:16] for row in odd} >= {"00:00", "23:59"}
    asked = odd + serving.where_missing(rows(20), skies, TODAY + timedelta(days=1), 5)
    judged = serving.missing_echoed(answered(skies, asked), skies, NOWHERE)
    assert judged.ok
    assert as_trained(skies, answered(skies, asked)).ok
    assert not serving.missing_echoed(answered(skies, asked, filled(1.0)), skies, NOWHERE).ok


def test_every_hour_of_every_airport_is_asked() -> None:
    asked = serving.every_hour(rows(serving.HOURS_ASKED), TODAY)
    assert len({(row["origin"], row["sched_dep"][:13]) for row in asked}) == 3 * 3 * 24


def test_rates_of_another_table_are_seen(skies: Any) -> None:
    said = answered(skies, rows(), lambda row, features: features | {"origin_late_rate": 0.3})
    assert not as_trained(skies, said).ok


def test_answers_that_name_a_version_and_are_another_ones_are_seen(skies: Any) -> None:
    said = answered(skies, rows())
    assert serving.own_answers(said, "alpha", ("alpha", "beta"), Linear()).ok
    assert not serving.own_answers(said, "beta", ("alpha", "beta"), Linear()).ok
    assert serving.own_answers(answered(skies, rows(), model=filled(0.0)), "alpha", ("alpha", "beta"), Linear()).ok


def test_which_role_answers_is_told_by_its_risks(skies: Any) -> None:
    said = answered(skies, rows())
    assert serving.which_role(said, ("alpha", "longer name"), Linear()) == "alpha"
    other = answered(skies, rows(), model=lambda row, features: features | {"hour": 3.21})
    assert serving.which_role(other, ("alpha",), Linear()) == ""


def test_alone_and_among_others_must_agree(skies: Any) -> None:
    batch = answered(skies, rows())
    assert serving.alone_agrees(batch, answered(skies, rows()[:24])).ok
    alone = answered(skies, rows()[:24], model=lambda row, features: features | {"carrier": "first"})
    assert not serving.alone_agrees(batch, alone).ok


# --- trainings --------------------------------------------------------------------------------------------------------


def flown(days: int = 90) -> pd.DataFrame:
    """A table of forty flights a day before TODAY."""
    rng = random.Random(1)
    found = [
        {
            "date": str(TODAY - timedelta(days=before)),
            "carrier": ("XA", "XB", "XC")[n % 3],
            "flight": n,
            "origin": SOURCES[n % 3 if before % 2 else n % 2],
            "arr_delay_min": None if n == 5 else rng.choice((90.0, 5.0, 7.0, -3.0, 12.0)),
        }
        for before in range(days, 0, -1)
        for n in range(40)
    ]
    return pd.DataFrame(found).astype({"arr_delay_min": float})


def holdout(table: pd.DataFrame, as_of: date = TODAY, same_day: bool = False) -> pd.DataFrame:
    """What an honest version declares, or one whose rates know the day itself."""
    parts = []
    for n in range(7, 0, -1):
        day = as_of - timedelta(days=n)
        known = truth.rates(table, day + timedelta(days=1) if same_day else day)
        of_day = training.arrived(table, day, day)
        rates = {f"{of}_late_rate": of_day[of].map(known[of]) for of in ("carrier", "origin")}
        parts.append(of_day.assign(**rates))
    found = pd.concat(parts, ignore_index=True)
    plain = {name: 1.5 for name in inputs.NUMBERS if name not in found}
    return found.assign(**plain, p_late=0.1 + 0.3 * found["carrier_late_rate"].fillna(0.2))


def made(
    table: pd.DataFrame, declared: pd.DataFrame | None = None, version: str = "5", names: Any = inputs.INPUTS
) -> Any:
    declared = holdout(table) if declared is None else declared
    late, p = (declared[name].to_numpy(dtype=float) for name in ("late", "p_late"))
    loss = training.log_loss(late, p)
    share = training.arrived(table, TODAY - timedelta(days=67), TODAY - timedelta(days=8))["late"].mean()
    base = training.log_loss(holdout(table)["late"].to_numpy(dtype=float), np.full(len(holdout(table)), share))
    tags = {
        "data_digest": "a1b2c3d4e5",
        "code_digest": "f0e1d2c3b4",
        "train_from": str(TODAY - timedelta(days=67)),
        "train_to": str(TODAY - timedelta(days=8)),
        "holdout_from": str(TODAY - timedelta(days=7)),
        "holdout_to": str(TODAY - timedelta(days=1)),
        "metric": "log_loss",
        "metric_value": f"{loss:.4f}",
    }
    run = Run(
        run_id="r",
        experiment_id="1",
        artifact_uri="mlflow-artifacts:/1/r/artifacts",
        lifecycle="active",
        tags={},
        params={},
        metrics={"log_loss": loss, "baseline_log_loss": base},
    )
    registered = Version(version=version, run_id="r", source="", tags=tags, aliases=(), created=0)
    read_back = artifacts.parsed(declared.to_csv(index=False).encode())
    assert read_back.problem == ""
    return training.Made(TODAY, registered, run, read_back, names, table)


def test_an_honest_version_passes() -> None:
    honest = made(flown())
    for judge in (
        training.holdout_declared,
        training.known_when_asked,
        training.metric_recomputed,
        training.baseline_logged,
    ):
        assert judge(honest).ok, judge(honest).sentence
    assert training.has_lineage(honest, None).ok


def test_other_rows_than_the_last_seven_days_are_no_holdout() -> None:
    table = flown()
    declared = holdout(table).sample(frac=0.5, random_state=1)
    assert not training.holdout_declared(made(table, declared)).ok
    wider = pd.concat([holdout(table, TODAY - timedelta(days=7)), holdout(table)], ignore_index=True)
    assert not training.holdout_declared(made(table, wider)).ok


def test_labels_that_the_table_does_not_have_are_seen() -> None:
    declared = holdout(flown())
    declared.loc[declared.index[:3], "late"] = 1 - declared.loc[declared.index[:3], "late"]
    judged = training.holdout_declared(made(flown(), declared))
    assert not judged.ok
    assert judged.measured == "3"


def test_rows_that_stand_twice_in_the_table_are_no_matter_of_the_training() -> None:
    table = flown()
    doubled = pd.concat([table, table[table["date"] >= "2024-06-20"].sample(frac=0.1, random_state=2)])
    for declared in (holdout(table), holdout(doubled.reset_index(drop=True)).drop_duplicates(truth.KEY)):
        version = made(table, declared)
        version = replace(version, table=doubled.reset_index(drop=True))
        assert training.holdout_declared(version).ok
        assert training.known_when_asked(version).ok


def test_rates_that_know_the_day_itself_are_seen() -> None:
    judged = training.known_when_asked(made(flown(), holdout(flown(), same_day=True)))
    assert not judged.ok
    assert "not known the day before" in judged.sentence


def test_an_input_that_is_none_of_the_twelve_is_seen() -> None:
    assert not training.known_when_asked(made(flown(), names=(*inputs.INPUTS, "air_time_min"))).ok
    assert training.known_when_asked(made(flown(), names=inputs.INPUTS[2:6])).ok
    assert not training.known_when_asked(made(flown(), names=None)).ok


def test_a_metric_of_other_rows_is_seen() -> None:
    honest = made(flown())
    better = replace(honest, run=honest.run.model_copy(update={"metrics": {"log_loss": 0.2}}))
    assert not training.metric_recomputed(better).ok
    tags = {**honest.version.tags, "metric": "accuracy"}
    assert not training.metric_recomputed(replace(honest, version=honest.version.model_copy(update={"tags": tags}))).ok


@pytest.mark.parametrize("away", [1e-6, 1e-9, 2.0**-23, 2.0**-52])
def test_a_metric_may_keep_sure_answers_from_0_and_1_by_whatever_a_library_does(away: float) -> None:
    declared = holdout(flown())
    declared.loc[declared.index[:20], "p_late"] = 0.0
    version = made(flown(), declared)
    late, p = (version.declared.rows[name].to_numpy(dtype=float) for name in ("late", "p_late"))
    loss = training.log_loss(late, p, away)
    tags = {**version.version.tags, "metric_value": repr(loss)}
    told = replace(
        version,
        run=version.run.model_copy(update={"metrics": {"log_loss": loss}}),
        version=version.version.model_copy(update={"tags": tags}),
    )
    assert training.metric_recomputed(told).ok
    assert not training.metric_recomputed(replace(told, run=version.run.model_copy(update={"metrics": {}}))).ok


def test_a_baseline_that_is_none_is_seen() -> None:
    honest = made(flown())
    assert not training.baseline_logged(replace(honest, run=None)).ok


def relabelled(table: pd.DataFrame) -> pd.DataFrame:
    """Every label of two holdout days is turned."""
    here = table["date"].isin(["2024-07-07", "2024-07-08"])
    turned = table["arr_delay_min"].map(lambda minutes: 5.0 if minutes > 60 else 90.0)
    return table.assign(arr_delay_min=table["arr_delay_min"].mask(here & table["arr_delay_min"].notna(), turned))


def test_other_labels_must_not_move_the_inputs_of_their_day() -> None:
    before, after = made(flown()), made(relabelled(flown()))
    assert training.labels_move_nothing(before, after, date(2024, 7, 7)).ok
    table = relabelled(flown())
    leaking = made(table, holdout(table, same_day=True))
    honest_rates = replace(leaking, table=table)
    assert not training.labels_move_nothing(made(flown(), holdout(flown(), same_day=True)), honest_rates, TODAY).ok


def test_an_input_made_of_the_label_moves_with_it() -> None:
    table = relabelled(flown())
    declared = [holdout(each).assign(visib_mi=lambda frame: frame["late"]) for each in (flown(), table)]
    judged = training.labels_move_nothing(made(flown(), declared[0]), made(table, declared[1]), date(2024, 7, 7))
    assert not judged.ok
    assert "visib_mi" in judged.sentence


def test_trainings_that_differ_are_told_apart_from_those_that_learnt_from_the_holdout() -> None:
    one, two = made(flown()), made(flown(), version="6")
    same = training.likeness([0.1, 0.2], [0.1, 0.2], "2 questions")
    assert training.alike(one, two, same).ok
    noisy = training.likeness([0.1, 0.2], [0.11, 0.19], "2 questions")
    assert not training.alike(one, two, noisy).ok
    assert training.apart(one, two, training.likeness([0.1, 0.2], [0.125, 0.175], ""), noise=noisy.mean).ok
    assert not training.apart(one, two, training.likeness([0.1, 0.2], [0.14, 0.25], ""), noise=noisy.mean).ok
    assert training.apart(one, two, training.likeness([0.1, 0.2], [0.1001, 0.1999], ""), noise=0.0).ok
    assert not training.apart(one, two, training.likeness([0.1, 0.2], [0.101, 0.199], ""), noise=0.0).ok
    assert not training.alike(one, two, None).ok
    assert training.alike(one, one, None).ok


def test_a_version_that_does_not_change_with_its_labels_is_seen() -> None:
    one = made(flown())
    judged = training.apart(one, made(relabelled(flown())), None, noise=0.0)
    assert not judged.ok
    assert "still names version 5" in judged.sentence


def test_a_version_that_is_found_again_is_held_against_one_that_learnt_from_the_same_rows() -> None:
    one, after = made(flown()), made(relabelled(flown()), version="6")
    same = training.likeness([0.1, 0.2], [0.1, 0.2], "2 questions")
    assert training.found_again(one, after, same).ok
    half = training.likeness([0.1, 0.2], [0.11, 0.19], "2 questions")
    assert not training.found_again(one, after, half).ok
    assert not training.found_again(one, after, None).ok
    assert not training.found_again(one, one, None).ok


def test_versions_that_learnt_from_other_rows_are_not_held_against_each_other() -> None:
    here = flown()
    changed = here.assign(arr_delay_min=here["arr_delay_min"].mask(here["date"] == "2024-06-20", 90.0))
    half = training.likeness([0.1, 0.2], [0.11, 0.19], "2 questions")
    assert training.found_again(made(here), made(changed, version="6"), half).ok
    dropped = here[here["date"] > here["date"].min()]
    same = training.likeness([0.1, 0.2], [0.1, 0.2], "2 questions")
    assert training.found_again(made(here), made(dropped, version="6"), same).ok
    assert not training.found_again(made(here), made(dropped, version="6"), half).ok


def test_declared_holdouts_are_compared_where_their_inputs_are_the_same() -> None:
    table = relabelled(flown())
    one, two = made(flown()), made(table, version="6")
    found = training.declared_likeness(one, two)
    assert found.largest < 1e-12
    assert int(found.what.split()[0]) < len(holdout(flown()))


def test_digests_must_be_one_for_the_same_data_and_another_for_other_labels() -> None:
    one, two = made(flown()), made(flown(), version="6")

    def tagged(version: Any, digest: str) -> Any:
        tags = {**version.version.tags, "data_digest": digest}
        return replace(version, version=version.version.model_copy(update={"tags": tags}))

    assert training.same_digests([one, two], tagged(two, "9e9d9c9b9a")).ok
    assert not training.same_digests([one, tagged(two, "9e9d9c9b9a")], None).ok
    assert not training.same_digests([one, two], two).ok
    assert not training.has_lineage(one, two).ok
    assert training.has_lineage(one, tagged(two, "9e9d9c9b9a")).ok


@pytest.mark.parametrize("tag", ["data_digest", "train_from", "metric_value"])
def test_a_version_without_a_tag_has_no_lineage(tag: str) -> None:
    honest = made(flown())
    tags = {name: value for name, value in honest.version.tags.items() if name != tag}
    assert not training.has_lineage(replace(honest, version=honest.version.model_copy(update={"tags": tags})), None).ok


@pytest.mark.parametrize("digest", ["unknown", "not available", "v1", "aaaaaaaaaa", "1234 567 890"])
def test_a_word_is_no_digest(digest: str) -> None:
    honest = made(flown())
    tags = {**honest.version.tags, "code_digest": digest}
    assert not training.has_lineage(replace(honest, version=honest.version.model_copy(update={"tags": tags})), None).ok


def test_a_version_of_other_code_has_another_code_digest() -> None:
    one, two = made(flown()), made(relabelled(flown()), version="6")
    assert not training.has_lineage(one, None, two).ok
    tags = {**two.version.tags, "code_digest": "0e1d2c3b4a"}
    assert training.has_lineage(one, None, replace(two, version=two.version.model_copy(update={"tags": tags}))).ok


def test_an_honest_model_may_be_better_than_the_reference_s_by_more_than_it_may_be_worse() -> None:
    assert [
        hidden.quality.within(difference, hidden.ABOVE, hidden.BELOW) for difference in (-0.11, -0.09, 0.0, 0.04, 0.06)
    ] == [0, 1, 1, 1, 0]


def test_a_metric_that_does_not_hold_is_seen_and_one_of_hard_days_is_not() -> None:
    mine, theirs = made(flown()), made(flown(), version="6")
    both = {"candidate": 0.40, "reference": 0.41}
    assert training.metric_holds(mine, theirs, both, 0.01, 0.05).ok
    assert not training.metric_holds(mine, theirs, {"candidate": 0.55, "reference": 0.41}, 0.01, 0.05).ok


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe", b"", b"date,carrier\n1,2\n", b'"' * 40_000, b"date,carrier,flight,origin\n"]
)
def test_a_holdout_that_cannot_be_read_is_said(raw: bytes) -> None:
    assert artifacts.parsed(raw).problem


@pytest.mark.parametrize(
    "content", [b"\xff", b"signature: 3", b"a: &a [*a]", b"!!python/object/apply:os.system ['x']", b"{"]
)
def test_a_model_file_without_a_signature_has_none(content: bytes) -> None:
    assert artifacts.signed(content) is None


def test_the_signature_of_a_model_file_is_read() -> None:
    columns = json.dumps([{"type": "string", "name": "carrier"}, {"type": "double", "name": "hour"}])
    assert artifacts.signed(f"signature:\n  inputs: '{columns}'\n".encode()) == ("carrier", "hour")


@pytest.mark.parametrize("many", ["{{<<: [{}]}}", "[{}]"])
def test_a_model_file_is_not_built_into_what_its_aliases_say(many: str) -> None:
    lines = ["a: &a {x: 1}"]
    lines += [f"{chr(n + 1)}: &{chr(n + 1)} {many.format(','.join([f'*{chr(n)}'] * 4))}" for n in range(97, 110)]
    began = time.monotonic()
    said = artifacts.signed("\n".join([*lines, 'signature: {inputs: \'[{"name": "hour"}]\'}']).encode())
    assert time.monotonic() - began < 20, "spelt out, it would never end"
    assert said == ("hour",), "what an honest model's metadata repeats is not refused"


@pytest.mark.parametrize(
    ("output", "number"),
    [
        ('log\n{"version": "12", "run_id": "x"}\n', "12"),
        ('{"version": 12}', "12"),
        ('{"version": "12"}\nbye', None),
        ("", None),
        ('{"version": "../1"}', None),
        ("[" * 5000, None),
    ],
)
def test_the_last_line_of_a_training_names_its_version(output: str, number: str | None) -> None:
    assert pair.said_version(output) == number


# --- quarantine -------------------------------------------------------------------------------------------------------

RECORD = {"source": "JFK", "date": str(TODAY), "delivery": 1, "reason": "a key twice", "released": None}
ALERT = {"id": "1", "kind": "source_quarantined", "subject": "JFK", "window_id": None}


def refusal(**changes: Any) -> Any:
    plain = quarantine.Refusal("JFK", TODAY, 1, RECORD, [ALERT], 0)
    return replace(plain, **changes)


def test_a_refusal_with_record_alert_and_report_passes() -> None:
    assert quarantine.all_refused([refusal()], {"JFK"}).ok


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 3},
        {"record": {}},
        {"record": {**RECORD, "reason": ""}},
        {"record": {**RECORD, "released": str(TODAY)}},
        {"record": {**RECORD, "delivery": 2}},
        {"alerts": []},
        {"alerts": [{**ALERT, "subject": "EWR"}]},
        {"alerts": [{**ALERT, "subject": "EWR, JFK, LGA"}]},
        {"alerts": [ALERT, {**ALERT, "subject": "EWR"}]},
        {"alerts": [{**ALERT, "kind": "drift"}]},
    ],
)
def test_what_is_not_refused_or_not_said_is_seen(changes: Row) -> None:
    assert not quarantine.all_refused([refusal(**changes)], {"JFK"}).ok


def test_a_refused_source_that_the_report_does_not_name_is_seen() -> None:
    assert not quarantine.all_refused([refusal()], set()).ok


def test_a_report_and_alerts_that_name_every_source_tell_nothing_apart() -> None:
    everywhere = [{**ALERT, "subject": source} for source in SOURCES]
    assert not quarantine.all_refused([refusal()], set(SOURCES)).ok
    assert not quarantine.all_refused([refusal(alerts=everywhere)], {"JFK"}).ok
    assert not quarantine.all_refused([refusal(alerts=everywhere)], {"JFK"}, {"EWR"}).ok
    assert quarantine.all_refused([refusal(alerts=everywhere)], {"JFK"}, {"EWR", "LGA"}).ok


def test_a_release_says_its_night() -> None:
    assert quarantine.released({**RECORD, "released": "2024-07-12"}, "JFK", TODAY, date(2024, 7, 12)) == ""
    assert quarantine.released(RECORD, "JFK", TODAY, date(2024, 7, 12))
    assert quarantine.released({}, "JFK", TODAY, date(2024, 7, 12))


# --- corrections ------------------------------------------------------------------------------------------------------

NIGHT = TODAY + timedelta(days=1)
MILES = {("JFK", "AAA"): frozenset({620.0}), ("LGA", "AAA"): frozenset({510.0})}


def line(name: str, origin: str, miles: str, days: int = 3, **changes: str) -> dict[str, str]:
    plain = {
        "row_id": name,
        "carrier": "XA",
        "flight": "12",
        "origin": origin,
        "dest": "AAA",
        "sched_dep": f"{TODAY + timedelta(days=days)}T08:00:00-04:00",
        "distance_mi": miles,
        "p_late": "0.25",
        "model_version": "7",
        "scored_at": str(TODAY),
        "supersedes": "",
    }
    return plain | changes


BEFORE = [
    line("far", "JFK", "500.0"),
    line("gone", "JFK", "500.0", days=0),
    line("right", "JFK", "620.05"),
    line("other", "LGA", "510.0"),
    line("unknown", "EWR", ""),
    line("old", "JFK", "500.0"),
    line("old+1", "JFK", "620.0", supersedes="old"),
]
CORRECTION = line("far+1", "JFK", "620.0", p_late="0.31", scored_at=str(NIGHT), supersedes="far")


def written(lines: Sequence[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, corrections.COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue().encode()


def night(before: Sequence[dict[str, str]], after: Sequence[dict[str, str]], new: Sequence[dict[str, str]]) -> Any:
    place = "state/predictions/{}.csv".format
    logs = [
        corrections.parsed({place(TODAY): written(before)}),
        corrections.parsed({place(TODAY): written(after), place(NIGHT): written(new)}),
    ]
    return corrections.Night(NIGHT, *logs, MILES)


def corrected(found: Any) -> tuple[bool, bool, bool]:
    """Whether affected_corrected, others_untouched and log_kept pass."""
    risks = {"far": ("7", 0.31)}
    first = corrections.affected_corrected(found, ["far", "other"], risks)
    return first.ok, corrections.others_untouched(found).ok, corrections.log_kept(found).ok


def test_only_the_affected_answer_is_found() -> None:
    assert set(night(BEFORE, BEFORE, [CORRECTION]).affected()) == {"far"}


def test_a_right_correction_passes() -> None:
    assert corrected(night(BEFORE, BEFORE, [CORRECTION])) == (True, True, True)


def test_a_question_that_was_asked_twice_may_be_corrected_once_or_twice() -> None:
    twice = [*BEFORE, line("far", "JFK", "500.0")]
    second = CORRECTION | {"row_id": "far+2"}
    assert corrected(night(twice, twice, [CORRECTION])) == (True, True, True)
    assert corrected(night(twice, twice, [CORRECTION, second])) == (True, True, True)
    assert corrected(night(BEFORE, BEFORE, [CORRECTION, second]))[0] is False


def test_no_correction_is_seen() -> None:
    assert corrected(night(BEFORE, BEFORE, [])) == (False, True, True)


def test_a_log_that_was_rewritten_is_seen() -> None:
    rewritten = [line("far", "JFK", "620.0", p_late="0.31"), *BEFORE[1:]]
    first, _, kept = corrected(night(BEFORE, rewritten, []))
    assert (first, kept) == (False, False)


def test_a_log_that_lost_a_line_is_seen() -> None:
    assert corrected(night(BEFORE, BEFORE[:3] + BEFORE[4:], [CORRECTION]))[2] is False


@pytest.mark.parametrize("name", ["gone", "right", "other", "old"])
def test_a_correction_of_an_answer_that_was_not_affected_is_seen(name: str) -> None:
    more = line(f"{name}+9", "JFK", "620.0", scored_at=str(NIGHT), supersedes=name)
    assert corrected(night(BEFORE, BEFORE, [CORRECTION, more])) == (True, False, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"distance_mi": "500.0"},
        {"p_late": "0.25"},
        {"p_late": "certain"},
        {"row_id": "far"},
        {"scored_at": str(TODAY)},
        {"flight": "13"},
        {"sched_dep": f"{TODAY}T08:00:00-04:00"},
    ],
)
def test_a_wrong_correction_is_seen(changes: dict[str, str]) -> None:
    assert corrected(night(BEFORE, BEFORE, [CORRECTION | changes]))[0] is False


def test_a_risk_of_another_version_is_not_held_against_what_serves() -> None:
    assert corrected(night(BEFORE, BEFORE, [CORRECTION | {"p_late": "0.2", "model_version": "8"}]))[0] is True


@pytest.mark.parametrize("version", ["", "6"])
def test_a_correction_names_the_champion_that_serves(version: str) -> None:
    found = night(BEFORE, BEFORE, [CORRECTION | {"model_version": version, "p_late": "0.25"}])
    risks = {"far": ("7", 0.31)}
    assert not corrections.affected_corrected(found, ["far"], risks, "7").ok
    assert corrections.affected_corrected(night(BEFORE, BEFORE, [CORRECTION]), ["far"], risks, "7").ok
    assert corrections.affected_corrected(found, ["far"], risks).ok, "serving that keeps to a version is not asked"


def given_to(folder: Path, lines: Sequence[dict[str, str]], onset: date) -> Any:
    """What of a healthy site's log must stand."""
    place = folder / "state" / "predictions" / f"{TODAY}.csv"
    place.parent.mkdir(parents=True)
    place.write_bytes(written(lines))
    return corrections.given(folder, onset)


def test_a_log_that_was_emptied_or_rewritten_before_it_was_handed_in_is_seen(tmp_path: Path) -> None:
    given = given_to(tmp_path, BEFORE, TODAY + timedelta(days=9))
    assert len(given) == len(BEFORE)
    assert corrections.log_kept(night(BEFORE, BEFORE, [CORRECTION]), given).ok
    told = BEFORE[0] | {"p_late": "0.25000000001"}
    assert corrections.log_kept(night([told, *BEFORE[1:]], [told, *BEFORE[1:]], []), given).ok, "another machine's"
    new = [line("new", "JFK", "500.0")]
    for kept in (new, BEFORE[1:], [BEFORE[0] | {"p_late": "0.26"}, *BEFORE[1:]], [*BEFORE[:4], *BEFORE[5:], *new]):
        judged = corrections.log_kept(night(kept, kept, []), given)
        assert not judged.ok
        assert "given" in judged.sentence


def test_lines_that_a_fault_may_have_changed_are_not_asked_for(tmp_path: Path) -> None:
    assert given_to(tmp_path / "a", BEFORE, TODAY) == []
    gone = given_to(tmp_path / "b", BEFORE, TODAY + timedelta(days=1))
    assert [each["row_id"] for each in gone] == ["gone"], "the others leave later, and are corrected where they stand"


def test_an_answer_that_is_not_logged_is_seen() -> None:
    found = night(BEFORE, BEFORE, [CORRECTION])
    assert not corrections.affected_corrected(found, ["far", "never logged"], {}).ok


def test_a_log_that_cannot_be_read_is_said() -> None:
    broken = corrections.parsed({"state/predictions/2024-07-10.csv": b"row_id,carrier\n1,2\n"})
    assert broken.problem
    assert corrections.parsed({"state/predictions/2024-07-10.csv": b"\xff\xfe\x00"}).problem


# --- speed ------------------------------------------------------------------------------------------------------------


class Nowhere:
    """A bench that keeps nothing."""

    def save(self, name: str, content: Any) -> str:
        return name


class Halves:
    """As much of a pair as judging a window needs."""

    seed, bench = "a seed", Nowhere()


def window(mine_ms: float, outcomes: Sequence[str] = ("ok",), lag_ms: float = 1.0) -> Any:
    """A window of eight seconds in which the reference takes 20 ms, and the candidate `mine_ms`."""
    count, rng = 400, np.random.default_rng(1)
    times = np.sort(rng.uniform(0, 8, count))
    stack = np.array(["candidate", "reference"] * (count // 2))
    base = np.where(stack == "candidate", mine_ms, 20.0)
    ended = np.array([outcomes[n // 2 % len(outcomes)] if n % 2 == 0 else "wrong" for n in range(count)])
    return load.Duet(
        rate=25.0,
        seconds=8.0,
        timeout_ms=10_000.0,
        intended=times,
        stack=stack,
        latency_ms=base * rng.uniform(0.9, 1.1, count),
        outcome=ended,
        first={"candidate": "the first"},
        lag_ms=np.full(count, lag_ms),
        lag_p99_ms=lag_ms,
        shortfall=0.0,
        driver_cpu=0.1,
        finished=True,
    )


@pytest.mark.parametrize(
    ("mine_ms", "outcomes", "ok"),
    [
        (20.0, ("ok",), True),
        (60.0, ("ok",), False),
        (20.0, ("ok", "wrong"), False),
        (20.0, ("ok", "failed"), False),
        (20.0, ("ok", "timeout"), False),
    ],
)
def test_under_load_a_stack_is_held_against_its_own_answers(mine_ms: float, outcomes: Any, ok: bool) -> None:
    promise = Promise("latency", 0.95, 1.5, 25.0, 8.0, lambda count: [])
    assert speed.load.judge(Halves(), promise, window(mine_ms, outcomes), alike=False).ok is ok


@pytest.mark.parametrize(
    ("mine_ms", "lag_ms", "ok"),
    [
        (20.0, 80.0, None),  # alike, but who knows
        (150.0, 80.0, None),  # slower by no more than a driver that lags twice
        (300.0, 80.0, False),
        (3000.0, 600.0, False),
    ],
)
def test_a_driver_that_lags_excuses_what_it_can_have_added_and_no_more(mine_ms: float, lag_ms: float, ok: Any) -> None:
    """Else a candidate that takes the machine from the driver would have no verdict instead of a bad one."""
    promise = Promise("latency", 0.95, 1.5, 25.0, 8.0, lambda count: [])
    found = speed.load.judge(Halves(), promise, window(mine_ms, lag_ms=lag_ms), alike=False)
    assert found.ok is ok
    assert "send lag" in found.sentence


@pytest.mark.parametrize(("outcomes", "ok"), [(("ok", "wrong"), False), (("ok", "failed"), None)])
def test_a_driver_that_lags_excuses_requests_that_failed_but_no_wrong_answer(outcomes: Any, ok: Any) -> None:
    promise = Promise("latency", 0.95, 1.5, 25.0, 8.0, lambda count: [])
    assert speed.load.judge(Halves(), promise, window(20.0, outcomes, lag_ms=80.0), alike=False).ok is ok


@pytest.mark.parametrize("mine_ms", [20.0, 60.0])
def test_a_reference_that_fails_is_no_measure(mine_ms: float) -> None:
    """What failed counts as slow, so that beside it anything would be quick."""
    found = window(mine_ms)
    failed = np.where((found.stack == "reference") & (np.arange(found.stack.size) % 10 == 1), "failed", "ok")
    promise = Promise("latency", 0.95, 1.5, 25.0, 8.0, lambda count: [])
    finding = speed.load.judge(Halves(), promise, replace(found, outcome=failed))
    assert finding.ok is None
    assert "40 of 200 requests failed at the reference" in finding.sentence


def turn(mine: int, outcomes: Mapping[str, int], failed: int = 0, driver_cpu: float = 0.1) -> Saturation:
    """A turn of four seconds, with so many answers in each; of the reference's requests so many failed."""
    return Saturation(
        answered={"candidate": (mine, mine + 2, mine - 2, mine), "reference": (100,) * 4},
        outcomes={"candidate": dict(outcomes), "reference": {"ok": 400 - failed, "failed": failed}},
        first={"candidate": "the first"},
        driver_cpu={"candidate": 0.1, "reference": driver_cpu},
        finished=True,
    )


@pytest.mark.parametrize(
    ("mine", "outcomes", "ok"),
    [
        (97, {"ok": 390}, True),
        (60, {"ok": 240}, False),
        (75, {"ok": 300}, None),
        (97, {"ok": 390, "wrong": 1}, False),
        (97, {"ok": 390, "failed": 20}, False),
    ],
)
def test_a_service_carries_most_of_what_the_reference_does(mine: int, outcomes: Mapping[str, int], ok: Any) -> None:
    found = speed.load.judge_capacity(Halves(), [turn(mine, outcomes)] * 2)
    assert found.ok is ok, found.sentence


def test_a_driver_that_is_short_itself_says_nothing_of_capacity() -> None:
    found = speed.load.judge_capacity(Halves(), [turn(60, {"ok": 240}, driver_cpu=0.9)] * 2)
    assert found.ok is None
    assert "of a core" in found.sentence


@pytest.mark.parametrize("mine", [{"ok": 390}, {"ok": 390, "wrong": 1}])
def test_a_reference_that_fails_is_no_measure_of_capacity(mine: Mapping[str, int]) -> None:
    found = speed.load.judge_capacity(Halves(), [turn(97, mine, failed=20)] * 2)
    assert found.ok is None
    assert "40 of 800 requests failed at the reference" in found.sentence


class Looked:
    """As much of a pair as looking at capacity needs; it remembers how many turns were taken, and what was recorded."""

    seed = "a seed"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: int) -> None:
        """Each further look finds that the candidate carries so many a second."""
        self.bench, self.orders, self._looks = self, [], list(looks)
        self.recorded: dict[str, Any] = {}
        monkeypatch.setattr(speed.load, "_both_orders", self._both)

    def _both(self, pair: Any, orders: Sequence[Any], expected: Any) -> list[Saturation]:
        self.orders.append([order[0] for order in orders])
        return [turn(self._looks.pop(0), {"ok": 240})] * 2

    def save(self, name: str, content: Any) -> str:
        return name

    def chart(self, series: Any) -> None:
        pass

    def record(self, check: str, finding: Any) -> None:
        self.recorded[check] = finding.ok


@pytest.mark.parametrize(
    ("first", "further", "ok"),
    [
        (97, [], True),
        (60, [60], False),
        (62, [97, 97], True),  # a machine that dipped for the candidate's turns
        (75, [75, 75], None),
    ],
)
def test_no_single_look_at_capacity_takes_points(
    monkeypatch: pytest.MonkeyPatch, first: int, further: list[int], ok: Any
) -> None:
    looked = Looked(monkeypatch, *further)
    speed.load.measure_capacity(looked, [turn(first, {"ok": 240})] * 2)
    assert looked.recorded == {"holds_load": ok}
    assert looked.orders == [["candidate", "reference"], ["reference", "candidate"]][: len(further)]
