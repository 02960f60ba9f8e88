"""The story of broken_pipeline: what sources deliver, and what nights with and without faults leave."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness import scenario as scenarios
from harness.layout import Layouts, site_in
from harness.model import DrawnFault, Form, Site, Variant
from harness.workspace import copy_site, copy_tree

SCENARIO = scenarios.find("broken_pipeline")

story: Any = SCENARIO.module("story")
deliveries: Any = SCENARIO.module("deliveries")
worlds: Any = SCENARIO.module("world")
flights: Any = importlib.import_module("scenario_base.flights")

SEED = 3
RANGES = {
    "temp": (-40, 130), "humid": (0, 100), "wind": (0, 120), "precip": (0, 10), "visib": (0, 100),
    "pressure": (900, 1100), "distance": (50, 6000), "dep_delay": (-120, 2000), "arr_delay": (-120, 2000),
    "air_time": (5, 1000),
}  # fmt: skip
SELDOM_MISSING = ("temp", "humid", "wind", "visib")


def variant(seed: int) -> Variant:
    values = story.values(random.Random(f"{seed}/values"))
    return Variant(scenario="broken_pipeline", seed=seed, values=values, faults=())


@pytest.fixture(scope="module")
def told() -> Variant:
    return variant(SEED)


@pytest.fixture(scope="module")
def world(told: Variant) -> Any:
    return worlds.read(told.values)


@pytest.fixture(scope="module")
def delivered(told: Variant, world: Any) -> list[Any]:
    return list(deliveries.deliveries(world, told.values, day(told, 96), day(told, -10)))


@dataclass(frozen=True)
class Fed:
    """A site with feeds: its files by digest, and what had come by the night that found it."""

    site: Site
    nights: dict[date, list[str]]

    def files(self) -> tuple[dict[str, str], dict[str, str]]:
        return digests(self.site.workspace), digests(self.site.private)


def feed(told: Variant, world: Any, folder: Path) -> Fed:
    site = site_in(folder)
    return Fed(site, deliveries.write_feeds(world, told.values, told.business_date, site))


@pytest.fixture(scope="module")
def fed(told: Variant, world: Any, tmp_path_factory: pytest.TempPathFactory) -> Fed:
    """The feeds of the story; read only."""
    return feed(told, world, tmp_path_factory.mktemp("fed"))


def day(told: Variant, before: int) -> date:
    return told.business_date - timedelta(days=before)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def parts(delivery: Any) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each part of a delivery, by its files: what the manifest says, and the rows."""
    files = delivery.files()
    manifest = json.loads(files[f"{delivery.folder}/{delivery.number}.json"])
    for name in ("flights", "weather"):
        if name in manifest:
            content = files[f"{delivery.folder}/{manifest[name]['file']}"]
            assert hashlib.sha256(content).hexdigest() == manifest[name]["sha256"]
            yield manifest[name], pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""])


def broken_rules(delivery: Any) -> list[str]:
    """The published rules, written down a second time."""
    found = []
    for said, rows in parts(delivery):
        if len(rows) != said["rows"]:
            found.append("rows")
        if rows.duplicated([name for name in ("carrier", "flight", "hour") if name in rows]).any():
            found.append("key")
        known = [name for name in RANGES if name in rows]
        values = rows[known].astype(float)
        for name in set(said["units"]) & set(known):
            values[name] = in_usual_units(values[name], said["units"][name])
        outside = values.lt([RANGES[name][0] for name in known]) | values.gt([RANGES[name][1] for name in known])
        found += [f"range of {name}" for name in known if outside[name].any()]
        missing = values.isna().mean()
        found += [f"missing {name}" for name in known if name in SELDOM_MISSING and missing[name] > 0.3]
    return found


def in_usual_units(values: pd.Series, unit: str) -> pd.Series:
    factors = {"m/s": 1 / 0.44704, "km": 1 / 1.609344, "mm": 1 / 25.4}
    return values * 1.8 + 32 if unit == "C" else values * factors.get(unit, 1.0)


# --- what a seed draws ------------------------------------------------------------------------------------------------


def test_values_are_json_and_the_business_date_lies_in_summer(told: Variant) -> None:
    assert json.loads(json.dumps(told.values)) == told.values
    assert told.business_date.month in (6, 7, 8)


@pytest.mark.parametrize("seed", range(1, 60))
def test_three_sources_change_one_unit_each_and_wind_never_at_ewr(seed: int) -> None:
    told = variant(seed)
    changes = told.values["unit_changes"]
    assert {change["source"] for change in changes.values()} == set(flights.ORIGINS)
    assert changes["wind"]["source"] != "EWR"
    assert all(14 <= (told.business_date - date.fromisoformat(each["from"])).days <= 18 for each in changes.values())


@pytest.mark.parametrize("seed", range(1, 60))
def test_a_source_day_is_odd_in_one_way_at_most(seed: int) -> None:
    drawn = variant(seed).values
    odd = [(drawn["bad"]["source"], of_day) for of_day in drawn["bad"]["days"]]
    odd += [(each["source"], each["date"]) for each in (drawn["short"], *drawn["wrong"])]
    assert len(set(odd)) == len(odd) == 6


# --- deliveries -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_delivery_breaks_a_rule_but_those_that_are_meant_to(told: Variant, delivered: list[Any]) -> None:
    refused = {(each.source, str(each.day), each.number) for each in delivered if broken_rules(each)}
    drawn = told.values
    meant = {(drawn["bad"]["source"], of_day, 1) for of_day in drawn["bad"]["days"]}
    assert refused == meant | {(drawn["short"]["source"], drawn["short"]["date"], 1)}


def test_every_day_is_delivered_by_every_source_and_a_fifth_of_them_again(delivered: list[Any]) -> None:
    first = {(each.source, each.day) for each in delivered if each.number == 1}
    again = {(each.source, each.day) for each in delivered if each.number == 2}
    assert len(first) == 107 * 3
    assert again < first
    assert 0.12 < len(again) / len(first) < 0.3


def test_what_was_delivered_in_the_end_is_what_flew(told: Variant, world: Any, delivered: list[Any]) -> None:
    key, unmended = list(worlds.KEY), (told.values["bad"]["source"], told.values["bad"]["unmended"])
    parts = [
        each.flights.assign(
            date=str(each.day),
            origin=each.source,
            distance=in_usual_units(each.flights["distance"], each.units["distance"]),
        )
        for each in delivered
        if each.flights is not None and (each.source, str(each.day)) != unmended
    ]
    rows = pd.concat(parts).drop_duplicates(key, keep="last").set_index(key)
    flew = world.between(day(told, 96), day(told, -10)).flights
    bad = (flew["date"] == told.values["bad"]["unmended"]) & (flew["origin"] == told.values["bad"]["source"])
    flew = flew[~bad].set_index(key)
    assert set(rows.index) == set(flew.index)
    came = rows.loc[flew.index]
    assert (came["distance"].to_numpy() - flew["distance_mi"].to_numpy()).__abs__().max() < 0.01
    assert came["arr_delay"].astype("Int64").tolist() == flew["arr_delay_min"].tolist()


def test_late_rows_and_unknown_arrivals_come_with_the_second_delivery(told: Variant, delivered: list[Any]) -> None:
    found = [each for each in delivered if each.number == 2 and each.flights is not None]
    odd = {(told.values["bad"]["source"], of_day) for of_day in told.values["bad"]["days"]}
    odd |= {(each["source"], each["date"]) for each in (told.values["short"], *told.values["wrong"])}
    usual = [each for each in found if (each.source, str(each.day)) not in odd]
    first = {(each.source, each.day): each for each in delivered if each.number == 1}
    for each in usual:
        known = first[each.source, each.day].flights
        both = each.flights.merge(known, on=["carrier", "flight"], how="left", suffixes=("", "_first"), indicator=True)
        late = (both["_merge"] == "left_only").sum()
        assert 0 < late <= 0.081 * (len(known) + late)
        assert both.loc[both["_merge"] == "both", "arr_delay_first"].isna().all()
        assert both.loc[both["_merge"] == "both", "arr_delay"].notna().all()
    assert len(usual) > 20


def test_units_change_for_deliveries_and_forecasts_alike(told: Variant, world: Any, tmp_path: Path) -> None:
    deliveries.write_weather(world, told.values, tmp_path, day(told, 20), day(told, 0))
    for column, change in told.values["unit_changes"].items():
        if column == "distance":
            continue
        before, since = (
            json.loads((tmp_path / f"{each}.json").read_text())[change["source"]]
            for each in (date.fromisoformat(change["from"]) - timedelta(days=1), change["from"])
        )
        assert (before["units"][column], since["units"][column]) == (deliveries.USUAL[column], change["unit"])


def test_forecasts_from_the_day_after_tomorrow_on_come_in_units_that_no_name_tells(
    told: Variant, world: Any, tmp_path: Path
) -> None:
    first, last, since = day(told, 1), day(told, -7), day(told, -deliveries.FORECAST_CHANGES)
    deliveries.write_weather(world, told.values, tmp_path / "as_asked", first, last, since)
    deliveries.write_weather(world, told.values, tmp_path / "as_delivered", first, last)
    convert = SCENARIO.module("grader.drills.feeds").forecasts
    kinds = set()
    for path in sorted((tmp_path / "as_asked").iterdir()):
        asked, plain = (json.loads((tmp_path / name / path.name).read_text()) for name in ("as_asked", "as_delivered"))
        for source in flights.ORIGINS:
            said = {name: (asked[source]["units"][name], plain[source]["units"][name]) for name in ("temp", "wind")}
            assert (said["temp"][0] != said["temp"][1]) == (path.stem >= str(since))
            kinds |= {each for each in said.values() if path.stem >= str(since)}
            both = (convert(each[source])[["temp_f", "wind_mph"]] for each in (asked, plain))
            pd.testing.assert_frame_equal(*both, atol=0.03)
    assert {("F", "C"), ("C", "F"), ("m/s", "mph"), ("kn", "m/s")} <= kinds


def test_a_number_leaves_two_airports_on_some_days_and_no_key_comes_twice(told: Variant, world: Any) -> None:
    recent = world.between(day(told, 75), day(told, 1)).flights
    assert not world.flights.duplicated(list(worlds.KEY)).any()
    assert recent.duplicated(["date", "carrier", "flight"]).sum() >= 2
    assert world.between(day(told, 12), day(told, 1)).flights.duplicated(["date", "carrier", "flight"]).any()


@pytest.mark.slow
def test_the_same_seed_writes_the_same_feeds_and_another_seed_does_not(fed: Fed, tmp_path: Path) -> None:
    again = variant(SEED)
    assert feed(again, worlds.read(again.values), tmp_path).files() == fed.files()
    other = variant(SEED + 1)
    yesterday, world = day(other, 1), worlds.read(other.values)
    made = {
        f"feeds/{name}": hashlib.sha256(content).hexdigest()
        for each in deliveries.deliveries(world, other.values, yesterday, yesterday)
        for name, content in each.files().items()
    }
    assert made
    assert not made.items() <= fed.files()[0].items()


def test_feeds_hold_what_came_by_the_business_date_and_private_what_comes_after(told: Variant, fed: Fed) -> None:
    site, nights = fed.site, fed.nights
    there = {path.relative_to(site.workspace / "feeds").as_posix() for path in site.workspace.rglob("feeds/*/*/*")}
    assert there == {name for names in nights.values() for name in names}
    assert max(nights) == told.business_date
    later = sorted(path.name for path in (site.private / "feeds").iterdir())
    assert later[0] == str(day(told, -1))
    assert {f"{source}/{told.business_date}/1.json" for source in flights.ORIGINS} <= {
        path.relative_to(site.private / "feeds" / later[0]).as_posix()
        for path in (site.private / "feeds" / later[0]).rglob("*.json")
    }
    forecasts = sorted(path.stem for path in (site.private / "weather").iterdir())
    assert (forecasts[0], forecasts[-1]) == (str(day(told, 2)), str(day(told, -17)))


def test_people_ask_about_150_flights_a_day_up_to_three_days_ahead(told: Variant, world: Any) -> None:
    asked = story.questions(world, told.values, told.business_date)
    assert list(asked) == [str(day(told, n)) for n in range(20, 0, -1)]
    ids = [row["row_id"] for rows in asked.values() for row in rows]
    assert len(set(ids)) == len(ids)
    for today, rows in asked.items():
        assert story.ANSWERS_A_DAY[0] <= len(rows) <= story.ANSWERS_A_DAY[1]
        leads = [(date.fromisoformat(row["sched_dep"][:10]) - date.fromisoformat(today)).days for row in rows]
        assert set(leads) == {0, 1, 2, 3}


# --- faults in the code of a night ------------------------------------------------------------------------------------


def fault(slot: str, onset: date | None) -> DrawnFault:
    return DrawnFault(slot=slot, form="f", pairs=(("a", "b"),), onset=onset, symptom="s", shows_in=("c",))


def test_a_night_has_the_faults_whose_onset_has_come(
    told: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def form(fault: DrawnFault) -> Form:
        def apply(site: Site, _: DrawnFault) -> None:
            (site.workspace / fault.slot).touch()

        return replace(SCENARIO.forms[0], slot=fault.slot, name="f", apply=apply)

    monkeypatch.setattr(story, "_form", form)
    first = day(told, story.EARLIEST_ONSET)
    faults = (fault("one", day(told, 10)), fault("two", None), fault("three", day(told, 5)))
    broken = told.model_copy(update={"faults": faults})
    codes = story._codes(broken, site_in(tmp_path / "site"), tmp_path / "codes", first)
    held = [
        (night, {name for name in ("one", "two", "three") if (Path(place) / name).is_file()}) for night, place in codes
    ]
    assert held == [
        (str(first), {"two"}),
        (str(day(told, 10)), {"one", "two"}),
        (str(day(told, 5)), {"one", "two", "three"}),
    ]


def test_months_before_the_nights_have_versions() -> None:
    assert story.monthly_nights(date(2024, 1, 1), date(2024, 5, 25)) == [date(2024, 3, 28), date(2024, 4, 28)]


# --- the whole world --------------------------------------------------------------------------------------------------


def registry_facts(registry: Path) -> dict[str, Any]:
    """What two builds of a registry must agree in; run and model ids differ."""
    queries = {
        "versions": "select name, version, creation_time from model_versions order by version",
        "tags": "select version, key, value from model_version_tags order by version, key",
        "aliases": "select alias, version from registered_model_aliases order by alias",
        "params": "select r.name, p.key, p.value from params p join runs r using (run_uuid) order by 1, 2",
        "metrics": "select r.name, m.key, m.value, timestamp from metrics m join runs r using (run_uuid) order by 1, 2",
        "started": "select name, start_time, end_time from runs order by 1",
    }
    with closing(sqlite3.connect(registry / "mlflow.db")) as connection:
        found: dict[str, Any] = {name: connection.execute(query).fetchall() for name, query in queries.items()}
    files = [path.read_bytes() for name in ("model.skops", "holdout.csv") for path in registry.rglob(name)]
    return {**found, "files": sorted(hashlib.sha256(content).hexdigest() for content in files)}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nights_leave_reports_quarantines_mends_corrections_and_answers(
    broken_variant: Variant, broken_healthy: Site
) -> None:
    state, drawn = broken_healthy.workspace / "state", broken_variant.values
    nights = [str(day(broken_variant, n)) for n in range(20, 0, -1)]
    assert sorted(path.stem for path in (state / "nightly").glob("*.json")) == nights
    cron = (state / "cron.log").read_text().splitlines()
    assert sorted({line.split()[0] for line in cron}) == nights
    assert len(cron) == len(nights) + 1  # one night ran twice
    assert all(line.endswith(": exit 0") for line in cron)
    records = [json.loads(path.read_bytes()) for path in broken_healthy.workspace.glob("quarantine/*/*.json")]
    open_ones = [(each["source"], each["date"]) for each in records if each["released"] is None]
    assert open_ones == [(drawn["bad"]["source"], drawn["bad"]["unmended"])]
    assert len(records) == 4
    alerts = [json.loads(line) for line in (state / "alerts.jsonl").read_text().splitlines()]
    assert [each["kind"] for each in alerts].count("source_quarantined") == 4
    log = pd.concat(pd.read_csv(path, dtype=str) for path in sorted((state / "predictions").glob("*.csv")))
    assert log["row_id"].is_unique
    superseded = log["supersedes"].dropna()
    assert set(superseded) <= set(log["row_id"])
    assert len(superseded) >= 6


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_table_holds_what_was_delivered_and_nothing_of_what_was_refused(
    broken_variant: Variant, broken_healthy: Site
) -> None:
    drawn = broken_variant.values
    table = pd.read_parquet(broken_healthy.workspace / "table" / "flights.parquet")
    truth = worlds.read(drawn).between(day(broken_variant, 81), day(broken_variant, 5)).flights
    refused = (truth["date"] == drawn["bad"]["unmended"]) & (truth["origin"] == drawn["bad"]["source"])
    both = truth[~refused].merge(table, on=list(worlds.KEY), how="outer", indicator=True, suffixes=("", "_table"))
    both = both[both["date"].between(str(day(broken_variant, 81)), str(day(broken_variant, 5)))]
    assert (both["_merge"] == "both").all()
    assert (both["distance_mi"] - both["distance_mi_table"]).abs().max() < 0.01


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_monitor_says_of_prepared_windows_what_is_due(broken_healthy: Site) -> None:
    rows = pd.read_csv(broken_healthy.workspace / "state" / "monitor" / "drills.csv", keep_default_na=False)
    assert rows["date"].nunique() >= 2
    assert all(row.due in row.alerts.split("; ") for row in rows.itertuples())
    assert (rows.loc[rows["due"] == "", "alerts"] == "").all()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_facts_count_what_was_delivered_and_answered(broken_variant: Variant, broken_healthy: Site) -> None:
    known = story.facts(broken_variant, broken_healthy)
    flew = worlds.read(broken_variant.values).between(day(broken_variant, 7), day(broken_variant, 1)).flights
    assert 0 <= len(flew) - known["flights_7d"] < 0.02 * len(flew)  # late rows of the last days are still to come
    arrived = flew["arr_delay_min"].dropna()
    assert abs(known["late_share_7d"] - (arrived > 60).mean()) < 0.01
    assert 0.01 < known["mean_risk_7d"] < 0.4


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_laid_out_workspace_holds_no_bytecode_and_no_path_of_the_layout(broken_healthy: Site) -> None:
    assert not list(broken_healthy.workspace.rglob("__pycache__"))
    text = b"".join(path.read_bytes() for path in broken_healthy.registry.rglob("*") if path.is_file())
    text += b"".join(path.read_bytes() for path in (broken_healthy.workspace / "state").rglob("*") if path.is_file())
    assert b"history.py" not in text
    assert b"/tmp/" not in text


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_layouts_of_a_seed_are_equal_with_and_without_faults(
    broken_variant: Variant, broken_healthy: Site, layouts: Layouts, tmp_path: Path
) -> None:
    again = site_in(tmp_path / "healthy")
    copy_tree(SCENARIO.folder / "workspace", again.workspace)
    story.lay_out(broken_variant.model_copy(update={"faults": ()}), again)
    assert digests(again.workspace) == digests(broken_healthy.workspace)
    assert registry_facts(again.registry) == registry_facts(broken_healthy.registry)
    broken = layouts.broken(SCENARIO, broken_variant)
    mine = site_in(tmp_path / "broken")
    copy_site(again, mine)
    shutil.rmtree(mine.workspace / "delays")
    copy_tree(broken.workspace / "delays", mine.workspace / "delays")
    shutil.copyfile(broken.workspace / "config.toml", mine.workspace / "config.toml")
    story.finish(broken_variant, mine)
    assert digests(mine.workspace) == digests(broken.workspace)
    assert registry_facts(mine.registry) == registry_facts(broken.registry)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_before_its_first_fault_a_broken_story_is_the_healthy_one(
    broken_variant: Variant, broken_healthy: Site, layouts: Layouts
) -> None:
    broken = layouts.broken(SCENARIO, broken_variant)
    first = min(each.onset for each in broken_variant.faults if each.onset)
    for night in (day(broken_variant, n) for n in range(20, 0, -1)):
        if night < first:
            name = f"state/predictions/{night}.csv"
            assert (broken.workspace / name).read_bytes() == (broken_healthy.workspace / name).read_bytes()
