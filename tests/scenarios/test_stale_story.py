"""The story of stale_predictions: the same seed gives the same world, and its traces say what the faults did."""

from __future__ import annotations

import hashlib
import importlib
import json
import random
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness import scenario as scenarios
from harness import variant as variants
from harness.layout import Layouts, site_in
from harness.model import Site, Variant
from harness.workspace import copy_tree

SCENARIO = scenarios.find("stale_predictions")
FOLDER = SCENARIO.folder
LAID_OUT = 1
"""The seed whose whole world other tests need, too; it takes a minute of one core."""

story: Any = SCENARIO.module("story")
flights: Any = importlib.import_module("scenario_base.flights")
traces: Any = SCENARIO.module("traces")
nights: Any = SCENARIO.module("nights")


@cache
def variant(seed: int) -> Variant:
    values = story.values(random.Random(f"{seed}/values"))
    return Variant(scenario="stale_predictions", seed=seed, values=values, faults=())


@cache
def world(seed: int) -> Any:
    """What flew in a seed's year: read only."""
    return flights.read(variant(seed).values)


def site(folder: Path) -> Site:
    return Site(folder / "workspace", folder / "registry", folder / "private")


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def fed(folder: Path, seed: int) -> Site:
    made, drawn = site(folder), variant(seed)
    story.write_feeds(flights.read(drawn.values), drawn.business_date, made)
    return made


def test_values_are_json_and_hold_the_business_date() -> None:
    drawn = variant(3)
    assert json.loads(json.dumps(drawn.values)) == drawn.values
    assert drawn.business_date.month in (6, 7, 8)
    assert len(set(drawn.values["carriers"].values())) == 16
    assert len(set(drawn.values["destinations"].values())) == len(drawn.values["destinations"])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_feeds_and_another_seed_does_not(tmp_path: Path) -> None:
    one, two, other = (fed(tmp_path / name, seed) for name, seed in (("one", 3), ("two", 3), ("other", 4)))
    assert digests(one.workspace) == digests(two.workspace)
    assert digests(one.private) == digests(two.private)
    assert digests(one.workspace / "feeds") != digests(other.workspace / "feeds")


def test_feeds_reach_from_120_days_ago_to_yesterday_and_hidden_days_follow(tmp_path: Path) -> None:
    made, today = fed(tmp_path, 3), variant(3).business_date
    days = sorted(path.stem for path in (made.workspace / "feeds" / "arrivals").iterdir())
    assert (days[0], days[-1], len(days)) == (str(today - timedelta(120)), str(today - timedelta(1)), 120)
    hidden = sorted(path.stem for path in (made.private / "arrivals").iterdir())
    assert (hidden[0], hidden[-1]) == (str(today), str(today + timedelta(10)))
    forecast = sorted(path.stem for path in (made.private / "weather").iterdir())
    assert (forecast[0], forecast[-1]) == (str(today - timedelta(2)), str(today + timedelta(17)))


def test_flights_keep_their_key_unique_and_every_route_is_known() -> None:
    read = world(3)
    assert not read.arrivals.duplicated(["date", "carrier", "flight", "origin"]).any()
    assert read.arrivals["flight"].between(1, 9999).all()
    assert not read.arrivals.drop(columns="arr_delay_min").isna().any(axis=None)
    routes = set(read.routes[["origin", "dest"]].itertuples(index=False, name=None))
    assert set(read.arrivals[["origin", "dest"]].itertuples(index=False, name=None)) <= routes


def test_the_answers_are_150_a_day_and_half_of_the_flights_come_again() -> None:
    drawn = variant(3)
    answers = story.sample_answers(world(3), drawn.values, drawn.business_date)
    a_day = answers.groupby("date").size()
    assert len(a_day) == 28
    assert a_day.between(*story.ANSWERS_A_DAY).all()
    assert answers["row_id"].is_unique
    again = answers.duplicated(["carrier", "flight", "origin", "dest"])
    assert 0.4 < again.mean() < 0.9


# --- traces, on a small made-up history ----------------------------------------------------------------------------


def decision(promote: bool) -> dict[str, Any]:
    return {"promote": promote, "reason": "promoted" if promote else "not better", "metrics": {"gain": 0.1}}


@pytest.fixture
def told(tmp_path: Path) -> tuple[Variant, Site]:
    """Versions "1" (long ago), then one each night; every fifth passes against any other."""
    drawn, made = variant(3), site(tmp_path)
    today = drawn.business_date
    made.private.mkdir()
    answers = story.sample_answers(world(3), drawn.values, today)
    answers.to_parquet(made.private / "answers.parquet", index=False)
    outage = tuple(date.fromisoformat(day) for day in drawn.values["outage"])
    plan = nights.plan(today, flights.first_day(drawn.values), outage, date.fromisoformat(drawn.values["gap"]))
    records, versions = [], [""]
    for night in plan:
        version = None if night["refused"] else str(len(versions))
        passes = len(versions) % 5 == 0
        records.append({**night, "version": version, "decisions": {v: decision(passes or not v) for v in versions}})
        versions += [version] if version else []
    named = versions[1:]
    history = {"champion": "", "previous": "", "versions": [], "nights": records}
    (made.private / "history.json").write_text(json.dumps(history))
    odds = {v: [-1.0 - int(v) / 10] * len(answers) for v in named}
    pd.DataFrame({"row_id": answers["row_id"], **odds}).to_parquet(made.private / "scores.parquet", index=False)
    each = {"slope": 2.0, "missing": 0.5}
    slopes = {v: {"carrier_late_rate": each, "origin_late_rate": each} for v in named}
    (made.private / "slopes.json").write_text(json.dumps(slopes))
    keys = [f"carrier:{code}" for code in drawn.values["carriers"].values()] + [f"origin:{o}" for o in flights.ORIGINS]
    rates = [(today - timedelta(n), key, 0.2 + (n % 10) / 100, 50) for n in range(130, 0, -1) for key in sorted(keys)]
    pd.DataFrame(rates, columns=["date", "key", "late_rate", "flights"]).to_csv(made.private / "rates.csv", index=False)
    for n in range(45, 0, -1):
        folder = made.workspace / "features" / f"date={today - timedelta(n)}"
        folder.mkdir(parents=True)
        (folder / "part.csv").write_text(f"{n}\n")
    return drawn, made


def alerts(made: Site) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (made.workspace / "state" / "alerts.jsonl").read_text().splitlines()]


def report(made: Site, day: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((made.workspace / "state" / "nightly" / f"{day}.json").read_text())
    return content


def test_the_healthy_story_refuses_and_says_so(told: tuple[Variant, Site]) -> None:
    drawn, made = told
    story.finish(drawn, made)
    kinds = [alert["kind"] for alert in alerts(made)]
    assert (kinds.count("source_missing"), kinds.count("features_expired")) == (6, 3)
    assert report(made, drawn.values["gap"])["decision"] == "refused"
    by_day = story.daily(made)
    assert (by_day["null_dates"] == 1).sum() == 3
    assert by_day["lag_days"].max() == 3
    assert len(by_day) == 28


def test_finish_writes_the_same_twice(told: tuple[Variant, Site]) -> None:
    drawn, made = told
    story.finish(drawn, made)
    before = digests(made.workspace)
    story.finish(drawn, made)
    assert digests(made.workspace) == before


def test_faults_show_in_the_log(told: tuple[Variant, Site]) -> None:
    drawn, made = told
    start = str(drawn.business_date - timedelta(days=9))
    made.story |= {
        "served_version": {"from": start, "version": "2"},
        "feature_lag": {"from": start, "days": 6},
        "expired_accepted": True,
        "no_alerts": {"from": None, "kinds": ["features_expired"]},
    }
    story.finish(drawn, made)
    by_day = story.daily(made)
    assert set(by_day.loc[start:, "version"]) == {"2"}
    assert "2" not in set(by_day.loc[: str(drawn.business_date - timedelta(days=10)), "version"])
    assert (by_day.loc[start:, "lag_days"] >= 6).all()
    assert (by_day["null_dates"] == 0).all()
    assert {alert["kind"] for alert in alerts(made)} == {"source_missing"}


def test_repeats_and_mixed_versions_show_in_the_log(told: tuple[Variant, Site]) -> None:
    drawn, made = told
    start = str(drawn.business_date - timedelta(days=9))
    made.story |= {
        "repeat_answers": {"from": start, "days": 30, "share": 1.0},
        "mixed_versions": {"from": start, "old": "1", "share": 0.5},
    }
    story.finish(drawn, made)
    by_day = story.daily(made)
    assert by_day.loc[start:, "repeats"].mean() > 0.4
    assert (by_day.loc[start:, "versions"] >= 2).all()


def test_swallowed_and_ignored_nights_show_in_reports(told: tuple[Variant, Site]) -> None:
    drawn, made = told
    gap = drawn.values["gap"]
    made.story |= {
        "swallowed": {"day": gap},
        "promotions_ignored": {"from": gap},
        "gate_always": {"from": gap, "reason": "accuracy 0.91"},
        "no_lineage": {"from": gap},
    }
    story.finish(drawn, made)
    assert report(made, gap)["decision"] == "held"
    after = str(date.fromisoformat(gap) + timedelta(days=1))
    assert report(made, after)["decision"] == "promoted"
    assert story.ending(made)[0] == report(made, after)["champion"]
    assert set(story.daily(made).loc[gap:, "version"]) == {""}
    copied, source = (
        (made.workspace / "features" / f"date={date.fromisoformat(gap) - timedelta(days=n)}" / "part.csv").read_text()
        for n in (1, 2)
    )
    assert copied == source


# --- the whole world -----------------------------------------------------------------------------------------------


def registry_facts(registry: Path) -> dict[str, Any]:
    """What two builds of a registry must agree in; run and model ids differ."""
    queries = {
        "versions": "select name, version, creation_time from model_versions order by version",
        "tags": "select version, key, value from model_version_tags order by version, key",
        "aliases": "select alias, version from registered_model_aliases order by alias",
        "params": "select r.name, p.key, p.value from params p join runs r using (run_uuid) order by 1, 2",
        "metrics": "select r.name, m.key, m.value, timestamp from metrics m join runs r using (run_uuid) order by 1, 2",
    }
    with closing(sqlite3.connect(registry / "mlflow.db")) as connection:
        found: dict[str, Any] = {name: connection.execute(query).fetchall() for name, query in queries.items()}
    models = [path.read_bytes() for path in registry.rglob("model.skops")]
    return {**found, "models": sorted(hashlib.sha256(model).hexdigest() for model in models)}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_same_seed_gives_the_same_registry(tmp_path: Path, layouts: Layouts) -> None:
    one, two = site_in(tmp_path), layouts.healthy(SCENARIO, variants.draw(SCENARIO, LAID_OUT))
    copy_tree(FOLDER / "workspace", one.workspace)
    story.lay_out(variant(LAID_OUT), one)
    story.finish(variant(LAID_OUT), one)
    assert digests(one.workspace) == digests(two.workspace)
    assert registry_facts(one.registry) == registry_facts(two.registry)
    text = b"".join(path.read_bytes() for path in one.registry.rglob("*") if path.is_file())
    assert str(tmp_path).encode() not in text
    assert b"history.py" not in text
    known = story.facts(variant(LAID_OUT), one)
    assert 900 < known["answers_7d"] < 1200
    assert not list(one.workspace.rglob("__pycache__"))
