"""What the grader of broken_pipeline makes of deliveries, and how it judges tables: by hand-made feeds, no stack."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from io import BytesIO
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import scenario as scenarios
from harness.errors import StackError

SCENARIO = scenarios.find("broken_pipeline")
feeds: Any = SCENARIO.module("grader.drills.feeds")
truth: Any = SCENARIO.module("grader.drills.truth")
tables: Any = SCENARIO.module("grader.drills.tables")
landed: Any = SCENARIO.module("grader.drills.landed")
alter: Any = SCENARIO.module("grader.drills.alter")
ticks: Any = SCENARIO.module("grader.drills.ticks")

TODAY = date(2024, 7, 10)
DAYS = 6
CARRIERS = ("XA", "XB", "NA")
MILES = {"AAA": 310.5, "BBB": 1104.2, "CCC": 2475.0, "DDD": 640.0}
JUDGES: dict[str, Callable[[Any], Any]] = {
    "units": landed.units_right,
    "missing": landed.missing_stays_missing,
    "counts": landed.counts_reconcile,
    "rows": landed.every_row_lands,
    "hour": landed.weather_right,
}


def flights(source: str, day: date, rng: random.Random, count: int = 90) -> pd.DataFrame:
    """A day's flights in canonical units, leaving from five in the morning on; one in thirty does not arrive."""
    numbers = {carrier: rng.sample(range(1, 4000), count) for carrier in CARRIERS}
    rows = []
    for n in range(count):
        carrier, dest = CARRIERS[n % 3], sorted(MILES)[n % 4]
        delay = None if n % 30 == 7 else float(rng.choice((-5, 3, 12, 80)))
        rows.append(
            {
                "carrier": carrier,
                "flight": numbers[carrier][n],
                "dest": dest,
                "sched_dep": f"{day}T{5 + n * 19 // count:02d}:{rng.randrange(60):02d}:00-04:00",
                "distance_mi": MILES[dest] + {"EWR": 0.0, "JFK": 11.0, "LGA": 23.0}[source],
                "dep_delay_min": float(n % 17),
                "air_time_min": None if delay is None else 40.0 + n,
                "arr_delay_min": delay,
            }
        )
    return pd.DataFrame(rows).astype({"arr_delay_min": float, "air_time_min": float})


def weather(source: str, day: date, rng: random.Random) -> pd.DataFrame:
    """A day's weather: no two hours alike, four hours without temperature and humidity, three without pressure."""
    base = 60 + 7 * len(source) + day.day + {"EWR": 0.0, "JFK": 0.3, "LGA": 0.6}[source]
    sky = pd.DataFrame(
        {
            "hour": range(24),
            "temp_f": [base + 0.7 * hour for hour in range(24)],
            "humid_pct": [round(30 + 2.5 * hour + day.day / 10, 1) for hour in range(24)],
            "wind_mph": [4 + 0.9 * ((hour * 7) % 24) for hour in range(24)],
            "precip_in": [0.01 * (hour % 5) for hour in range(24)],
            "visib_mi": [10.0 - 0.25 * (hour % 9) for hour in range(24)],
            "pressure_mb": [1005 + 0.4 * hour + day.day / 10 for hour in range(24)],
        }
    )
    sky.loc[sorted(rng.sample(range(6, 22), 4)), ["temp_f", "humid_pct"]] = float("nan")
    sky.loc[sorted(rng.sample(range(6, 22), 3)), "pressure_mb"] = float("nan")
    return sky


@cache
def delivery(source: str, day: date, number: int = 1) -> Any:
    """A source's day: read only."""
    rng = random.Random(f"{source}/{day}")
    return feeds.Delivery(source, day, number, flights(source, day, rng), weather(source, day, rng))


@cache
def story() -> tuple[Any, ...]:
    """Six days of three sources; one has late rows, one was refused and mended, one number leaves two airports."""
    found: list[Any] = []
    for before in range(DAYS, 0, -1):
        day = TODAY - timedelta(days=before)
        of_day = {source: delivery(source, day) for source in feeds.SOURCES}
        of_day["LGA"], _ = alter.repeated(of_day["EWR"], of_day["LGA"], random.Random(before))
        if before == 4:
            whole = of_day["JFK"].flights
            found.append(replace(of_day["JFK"], number=2, flights=whole.tail(9).reset_index(drop=True), weather=None))
            of_day["JFK"] = replace(of_day["JFK"], flights=whole.head(len(whole) - 9))
        found += of_day.values()
    return tuple(sorted(found, key=lambda each: (each.source, each.day, each.number)))


@pytest.fixture(scope="module")
def right() -> Any:
    return truth.made(story())


def as_table(right: Any) -> pd.DataFrame:
    """The table that holds exactly what is right."""
    return right.rows.reset_index().drop(columns="hour")


def failing(table: pd.DataFrame, right: Any) -> set[str]:
    """The names of the judgements that do not pass."""
    return {name for name, judge in JUDGES.items() if not judge(landed.Compared(table, right)).ok}


# --- deliveries -------------------------------------------------------------------------------------------------------


def read(files: dict[str, bytes], like: Any) -> Any:
    return feeds.read(files, like.source, like.day, like.number)


def test_what_is_written_is_what_is_read() -> None:
    whole = delivery("JFK", TODAY)
    found = read(feeds.written(whole), whole)
    assert found.refused == ""
    pd.testing.assert_frame_equal(found.flights, whole.flights, check_dtype=False)
    pd.testing.assert_frame_equal(found.weather, whole.weather, check_dtype=False)


def test_other_units_say_the_same() -> None:
    whole = delivery("EWR", TODAY)
    units = {"temp": "C", "wind": "kn", "distance": "km", "visib": "km", "precip": "mm", "pressure": "hPa"}
    found = read(feeds.written(alter.in_units(whole, units)), whole)
    assert (found.weather["temp_f"] - whole.weather["temp_f"]).abs().max() < 0.01
    assert (found.weather["wind_mph"] - whole.weather["wind_mph"]).abs().max() < 0.01
    assert (found.flights["distance_mi"] - whole.flights["distance_mi"]).abs().max() < 0.004
    raw = feeds.written(alter.in_units(whole, {"temp": "C"}))["feeds/EWR/2024-07-10/1.weather.csv"]
    assert b"\n0,24.44," in raw or b"C" not in raw, "the file has degrees, no unit"


@pytest.mark.parametrize("rule", list(alter.POISONS))
def test_a_delivery_that_breaks_a_rule_is_refused_with_a_reason(rule: str) -> None:
    whole = delivery("LGA", TODAY)
    found = read(alter.POISONS[rule](whole), whole)
    assert found.refused
    assert found.flights is None
    assert found.weather is None


def test_a_quarter_of_a_day_may_be_missing_and_more_than_half_may_not() -> None:
    whole, rng = delivery("LGA", TODAY), random.Random(1)
    within = alter.missing(whole, "humid_pct", ticks.MISSING_HOURS, rng)
    assert read(feeds.written(within), whole).refused == ""
    beyond = alter.missing(whole, "humid_pct", ticks.BURST_HOURS, rng)
    assert "humid_pct are missing" in read(feeds.written(beyond), whole).refused


def test_a_first_delivery_needs_fifty_flights_and_both_parts() -> None:
    whole = delivery("LGA", TODAY)
    assert read(feeds.written(replace(whole, flights=whole.flights.head(49))), whole).refused
    assert read(feeds.written(replace(whole, weather=None)), whole).refused
    second = replace(whole, number=2, flights=whole.flights.head(3), weather=None)
    assert read(feeds.written(second), second).refused == ""


# --- the right table --------------------------------------------------------------------------------------------------


def test_later_rows_replace_those_with_their_key_and_others_stay() -> None:
    first = delivery("JFK", TODAY)
    later = alter.relabelled(first, 2, 0.5, random.Random(3))
    found = truth.made([first, later]).rows
    assert len(found) == len(first.flights)
    changed = found.loc[[(str(TODAY), row.carrier, row.flight, "JFK") for row in later.flights.itertuples()]]
    assert (changed["arr_delay_min"].to_numpy() == later.flights["arr_delay_min"].to_numpy()).all()


def test_nothing_of_a_refused_delivery_is_right() -> None:
    good, bad = delivery("JFK", TODAY), delivery("LGA", TODAY)
    refused = read(alter.POISONS["a key twice"](bad), bad)
    found = truth.made([good, refused])
    assert set(found.rows.index.get_level_values("origin")) == {"JFK"}
    assert found.troubled() == {("LGA", str(TODAY))}


def test_rates_are_those_of_the_fourteen_days_before() -> None:
    rows = pd.DataFrame(
        {
            "date": ["2024-06-25", "2024-06-26", "2024-07-09", "2024-07-10"],
            "carrier": "XA",
            "origin": "JFK",
            "arr_delay_min": [90.0, 90.0, 5.0, 90.0],
        }
    )
    assert truth.rates(rows, date(2024, 7, 10)) == {"carrier": {"XA": 0.5}, "origin": {"JFK": 0.5}}


def test_a_right_table_passes_every_judgement(right: Any) -> None:
    assert failing(as_table(right), right) == set()


# --- wrong tables: each is seen by its own judgement and by no other --------------------------------------------------


def celsius(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    here = (table["origin"] == "EWR") & (table["date"] >= "2024-07-07")
    return table.assign(temp_f=table["temp_f"].mask(here, (table["temp_f"] - 32) / 1.8))


def metres_a_second(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    return table.assign(wind_mph=table["wind_mph"].mask(table["origin"] == "JFK", table["wind_mph"] * 0.44704))


def kilometres(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    here = (table["origin"] == "LGA") & (table["date"] == "2024-07-09")
    return table.assign(distance_mi=table["distance_mi"].mask(here, table["distance_mi"] * 1.609344))


def zeros(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    return table.assign(humid_pct=table["humid_pct"].fillna(0.0))


def medians(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    return table.assign(temp_f=table["temp_f"].fillna(table["temp_f"].median()))


def appended(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    late = table[(table["origin"] == "JFK") & (table["date"] == "2024-07-06")].tail(9)
    return pd.concat([table, late, late], ignore_index=True)


def narrow(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    return table.drop_duplicates(["date", "carrier", "flight"], keep="last")


def from_nowhere(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    return pd.concat([table, table.tail(4).assign(flight=[4001, 4002, 4003, 4004])], ignore_index=True)


def capped(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    return table.sort_values("sched_dep").groupby(["date", "origin"]).head(75)


def without_late_rows(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    second = [each for each in story() if each.number == 2]
    late = {(row.carrier, row.flight) for each in second for row in each.flights.itertuples()}
    here = (table["origin"] == "JFK") & (table["date"] == "2024-07-06")
    return table[~(here & pd.Series([key in late for key in zip(table["carrier"], table["flight"], strict=True)]))]


def another_hour(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    hour = (table["sched_dep"].str[11:13].astype(int) + 4) % 24
    wanted = pd.MultiIndex.from_arrays([table["date"], table["origin"], hour])
    sky = right.weather.reindex(wanted)
    return table.assign(**{name: sky[name].to_numpy() for name in sky.columns})


def one_zero(table: pd.DataFrame, right: Any) -> pd.DataFrame:
    gap = table.index[table["humid_pct"].isna()][0]
    return table.assign(humid_pct=table["humid_pct"].mask(table.index == gap, 0.0))


WRONG = {
    celsius: {"units"},
    metres_a_second: {"units"},
    kilometres: {"units"},
    zeros: {"missing"},
    medians: {"missing"},
    one_zero: {"missing"},
    appended: {"counts"},
    narrow: {"counts"},
    from_nowhere: {"counts"},
    capped: {"rows"},
    without_late_rows: {"rows"},
    another_hour: {"hour"},
}


@pytest.mark.parametrize("wrong", list(WRONG), ids=lambda wrong: wrong.__name__)
def test_a_wrong_table_fails_its_own_judgement_and_no_other(wrong: Any, right: Any) -> None:
    assert failing(wrong(as_table(right), right), right) == WRONG[wrong]


@pytest.mark.parametrize("hours", [-5, -1, 1, 5])
def test_weather_of_any_constant_hour_away_is_seen(hours: int, right: Any) -> None:
    table = as_table(right)
    hour = (table["sched_dep"].str[11:13].astype(int) + hours) % 24
    sky = right.weather.reindex(pd.MultiIndex.from_arrays([table["date"], table["origin"], hour]))
    moved = table.assign(**{name: sky[name].to_numpy() for name in sky.columns})
    judged = landed.weather_right(landed.Compared(moved, right))
    assert not judged.ok
    assert judged.details["hours_away"] == {source: [hours] for source in feeds.SOURCES}


def test_an_hour_away_on_some_days_only_is_no_matter_of_units(right: Any) -> None:
    table = as_table(right)
    late = table["date"] >= "2024-07-08"
    moved = another_hour(table, right).where(late, table)
    assert failing(moved.astype({"flight": int}), right) == {"hour"}


@pytest.mark.parametrize("column", ["temp_f", "wind_mph", "distance_mi"])
def test_a_column_that_was_emptied_is_in_no_unit(column: str, right: Any) -> None:
    table = as_table(right)
    emptied = table.assign(**{column: table[column].mask(table["origin"] == "JFK")})
    assert not landed.units_right(landed.Compared(emptied, right)).ok
    some = table.assign(**{column: table[column].mask(table["flight"] % 3 == 0)})
    assert landed.units_right(landed.Compared(some, right)).ok


def test_the_hour_of_one_day_is_judged_alone(right: Any) -> None:
    day, before = TODAY - timedelta(days=1), TODAY - timedelta(days=2)
    table = as_table(right)
    there = (table["date"] == str(day)) & (table["origin"] == "EWR")
    table.loc[there, "pressure_mb"] += 5
    compared = landed.Compared(table, right)
    assert not landed.weather_right(compared, ("EWR", day)).ok
    assert landed.weather_right(compared, ("EWR", before)).ok
    assert landed.weather_right(compared, ("JFK", day)).ok


def test_an_empty_table_passes_nothing(right: Any) -> None:
    assert failing(as_table(right).iloc[:0], right) == set(JUDGES)


def test_rows_of_a_refused_delivery_are_not_counted_as_invented(right: Any) -> None:
    held = [each for each in story() if (each.source, each.day) != ("LGA", date(2024, 7, 6))]
    bad = next(each for each in story() if (each.source, each.day) == ("LGA", date(2024, 7, 6)))
    refused = truth.made([*held, read(alter.POISONS["a key twice"](bad), bad)])
    assert failing(as_table(right), refused) == set()


def test_days_held_up_by_a_refused_source_are_not_counted_as_cut() -> None:
    day = date(2024, 7, 6)
    bad = next(each for each in story() if (each.source, each.day) == ("LGA", day))
    held = [each for each in story() if (each.source, each.day) != ("LGA", day)]
    found = truth.made([*held, read(alter.POISONS["a key twice"](bad), bad)])
    table = as_table(found)
    assert failing(table[table["date"] != str(day)], found) == set()
    assert "rows" in failing(table[table["date"] != "2024-07-08"], found)


# --- rows that come anew ----------------------------------------------------------------------------------------------


def anew() -> tuple[Any, Any, pd.DataFrame]:
    """A source's day, what comes anew of it, and what changed."""
    first = delivery("JFK", date(2024, 7, 8))
    later = alter.relabelled(first, 2, 0.4, random.Random(5))
    return first, later, ticks._changes(first, later)


def test_rows_anew_must_replace_the_old_ones() -> None:
    first, later, changed = anew()
    right = truth.made([first, later])
    assert landed.upserted(landed.Compared(as_table(right), right), changed).ok
    twice = pd.concat([as_table(truth.made([first])), as_table(right)], ignore_index=True)
    assert not landed.upserted(landed.Compared(twice, right), changed).ok
    half = as_table(right)
    old = changed.head(10).set_index(["carrier", "flight"])["was"].to_dict()
    for (carrier, flight), was in old.items():
        half.loc[(half["carrier"] == carrier) & (half["flight"] == flight), "arr_delay_min"] = was
    judged = landed.upserted(landed.Compared(half, right), changed)
    assert not judged.ok
    assert judged.measured == "10"


def test_a_later_delivery_that_was_not_read_is_no_matter_of_upserts_only_where_a_fault_leaves_it_out() -> None:
    first, later, changed = anew()
    unread = landed.Compared(as_table(truth.made([first])), truth.made([first, later]))
    assert landed.upserted(unread, changed, unread=True).ok
    judged = landed.upserted(unread, changed)
    assert not judged.ok
    assert "None of" in judged.sentence


def test_first_rows_that_are_kept_beside_late_ones_are_seen() -> None:
    first, later, changed = anew()
    later = alter.with_late_rows(later, first.flights, 5, random.Random(6))
    right = truth.made([first, later])
    late = list(right.rows.index.difference(truth.made([first]).rows.index))
    kept = pd.concat([as_table(truth.made([first])), as_table(right)], ignore_index=True).drop_duplicates(truth.KEY)
    assert len(late) == 5
    assert not landed.upserted(landed.Compared(kept, right), changed, late).ok
    unread = landed.Compared(as_table(truth.made([first])), right)
    assert landed.upserted(unread, changed, late, unread=True).ok
    assert not landed.upserted(unread, changed, late).ok


# --- the nights after the first ---------------------------------------------------------------------------------------

VALUES = {
    "unit_changes": {"temp": {"source": "JFK"}, "wind": {"source": "LGA"}, "distance": {"source": "EWR"}},
    "odd_source": "EWR",
}


def night(days: int) -> dict[str, bytes]:
    """What the story delivers so many nights after TODAY."""
    day = TODAY + timedelta(days=days - 1)
    files: dict[str, bytes] = {}
    for source, units in (("EWR", {"distance": "km"}), ("JFK", {"temp": "C"}), ("LGA", {"wind": "m/s"})):
        files |= feeds.written(alter.in_units(delivery(source, day), units))
    return files


@pytest.fixture(scope="module")
def known() -> Any:
    found = truth.Deliveries()
    for each in story():
        found.add(feeds.written(each))
    return found


@pytest.mark.parametrize("seed", ["a", "b", "c", "d"])
def test_the_first_tick_delivers_what_it_says(seed: str, known: Any) -> None:
    plan = ticks.Plan(VALUES, seed, TODAY)
    first = plan.first(night(1), known)
    delivered = deepcopy(known)
    delivered.add(first.files)
    assert not [each for each in delivered.all() if each.refused]
    right = delivered.truth(TODAY + timedelta(days=1), 81)
    before = known.truth(TODAY, 81)
    assert set(first.planted) <= set(right.repeats)
    assert set(first.late) <= set(right.rows.index)
    assert not set(first.late) & set(before.rows.index)
    assert len(right.of(*first.large)) > 1.8 * len(delivery(*first.large).flights) * 0.7
    now, then = (truth.distances(each.rows.reset_index()) for each in (right, before))
    assert len(set(first.routes)) == 2
    for route in first.routes:
        assert all(abs(a - b) > 10 for a in now[route] for b in then[route])
    assert sum(now[route] != then[route] for route in then) <= 2 + sum(route[0] == "EWR" for route in then) + 8
    moved, day = first.moved
    assert set(right.of(moved, day)["sched_dep"].str[-6:]) == {ticks.OFFSET}
    assert (right.of(moved, day)["hour"] == right.of(moved, day)["sched_dep"].str[11:13].astype(int)).all()
    cold = right.of("JFK", TODAY)["temp_f"]
    assert cold.max() <= ticks.WARMEST_F + 0.01
    labels = first.changed
    assert ((labels["arr_delay_min"] > 60) != (labels["was"] > 60)).all()
    assert {str(day) for day in first.relabelled} == set(labels["date"])


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_units_change_where_the_story_left_them_and_back_where_it_did_not(seed: str, known: Any) -> None:
    first = ticks.Plan(VALUES, seed, TODAY).first(night(1), known)
    assert {(column, source) for column, source, _ in first.paired} == {
        ("temp_f", "LGA"), ("wind_mph", "EWR"), ("distance_mi", "JFK"),
    }  # fmt: skip
    read_back = {source: feeds.read(first.files, source, TODAY, 1).units for source in feeds.SOURCES}
    assert (read_back["LGA"]["temp"], read_back["EWR"]["wind"], read_back["JFK"]["distance"]) == ("C", "m/s", "km")
    assert (read_back["JFK"]["temp"], read_back["LGA"]["wind"], read_back["EWR"]["distance"]) == ("F", "kn", "mi")


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_the_later_ticks_break_two_rules_mend_one_and_burst_two_columns(seed: str, known: Any) -> None:
    plan = ticks.Plan(VALUES, seed, TODAY)
    plan.first(night(1), known)
    second = plan.second(night(2))
    found = truth.Deliveries()
    found.add(second.files)
    assert {each.source for each in found.all() if each.refused} == set(second.poisons)
    assert second.good not in second.poisons
    third = plan.third(night(3), night(2))
    found.add(third.files)
    mended = [each for each in found.all() if (each.source, each.day, each.number) == (third.mended, second.day, 2)]
    assert [each.refused for each in mended] == [""]
    assert second.poisons[third.mended] in alter.VALUES
    assert {each.source for each in found.all() if each.day == third.day and each.refused} == set(third.bursts)


# --- a candidate's files ----------------------------------------------------------------------------------------------


def parquet(frame: pd.DataFrame, **options: Any) -> bytes:
    target = BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), target, **options)
    return target.getvalue()


class Table:
    """As much of a stack as its table needs: files by their place below table/."""

    name = "candidate"

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = {f"table/{place}": content for place, content in files.items()}

    def listing(self, path: str) -> tuple[str, ...]:
        return tuple(sorted(self._files))

    def read(self, path: str) -> bytes | None:
        return self._files.get(path)


def test_a_table_in_many_files_is_read_whole(right: Any) -> None:
    table = as_table(right)
    files = {f"{day}.parquet": parquet(rows) for day, rows in table.groupby("date")}
    found = tables.read(Table(files))
    assert len(found) == len(table)
    assert failing(found, right) == set()


def test_columns_may_stand_in_the_names_of_folders(right: Any) -> None:
    table = as_table(right)
    files = {
        f"date={day}/origin={origin}/part.parquet": parquet(rows.drop(columns=["date", "origin"]))
        for (day, origin), rows in table.groupby(["date", "origin"])
    }
    assert failing(tables.read(Table(files)), right) == set()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PAR1 no parquet at all PAR1", "cannot be read"),
        (parquet(pd.DataFrame({"date": ["2024-07-01"]})), "has no column carrier"),
        (parquet(pd.DataFrame({"date": ["2024-07-01"] * 3_000_000}), compression="zstd"), "rows"),
    ],
    ids=["garbage", "a column missing", "too many rows"],
)
def test_what_cannot_be_read_is_the_stacks_fault(content: bytes, says: str) -> None:
    with pytest.raises(StackError, match=says) as caught:
        tables.read(Table({"part.parquet": content}))
    assert caught.value.stack == "candidate"


def test_text_where_a_number_is_due_is_said(right: Any) -> None:
    table = as_table(right).assign(temp_f="warm")
    with pytest.raises(StackError, match="temp_f"):
        tables.read(Table({"part.parquet": parquet(table)}))
