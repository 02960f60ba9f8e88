"""The story of a variant: its values, the healthy world in an empty site, and the facts of the incident.

The traces (predictions log, nightly reports, alerts) depend on the faults and are written last, by `finish`.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from scenario_base import flights, scripts

from harness.model import Site, Variant

from . import nights
from .traces import daily, ending, finish, version_of_month

__all__ = ["daily", "ending", "facts", "finish", "lay_out", "values", "version_of_month"]

REAL_BUSINESS_DAYS = (
    (date(2013, 6, 19), date(2013, 6, 28)),
    (date(2013, 7, 1), date(2013, 7, 10)),
    (date(2013, 7, 15), date(2013, 7, 24)),
    (date(2013, 8, 3), date(2013, 8, 8)),
)
"""Stretches, both ends included. On each of these days a model of January is worse than a fresh one by at least 0.15
log loss over the seven days before, and the version of March than the champion by at least 0.08 over the seven days
from then on (measured on all days from 8 June to 8 August; on the others nearly every model does alike)."""

FEED_DAYS = 120
HIDDEN_DAYS = 10
FORECAST_DAYS = (2, 17)
"""Forecasts reach from two days before the business date to 17 days after it."""

LOGGED_DAYS = 28
ANSWERS_A_DAY = (143, 157)
REGULAR_FLIGHTS = 75
"""Of a day's answers about half are for flights that passengers ask about on every day they fly."""

REGULAR_DAYS = 20
LATE_AFTER_MIN = 15
_WEATHER = [name for name in flights.WEATHER_COLUMNS if name not in ("origin", "hour")]


def values(rng: random.Random) -> dict[str, Any]:
    """What a seed draws: the remapping (see `flights.draw`), and the nights on which feeds did not come.

    `outage` is the first and last of five nights in a row that were refused; on the third, fourth and fifth of them
    the features were expired. `gap` is a single refused night after it. All are ISO business dates.
    """
    drawn = flights.draw(rng, REAL_BUSINESS_DAYS)
    today = date.fromisoformat(drawn["business_date"])
    first = today - timedelta(days=rng.randrange(20, 24))
    gap = today - timedelta(days=rng.randrange(10, 14))
    outage = [str(first), str(first + timedelta(days=4))]
    return {**drawn, "outage": outage, "gap": str(gap)}


def lay_out(variant: Variant, site: Site) -> None:
    """Fill an empty site (its workspace already holds the healthy tree) with the healthy world.

    Takes about a minute of one core, most of it to train and register two dozen versions. `EXAM_CACHE` may name a
    folder that keeps a migrated empty registry database.
    Raises EnvironmentFault without the flights data, ScenarioError with the script's last words when history fails.
    """
    drawn, today = variant.values, variant.business_date
    world = flights.read(drawn)
    write_feeds(world, today, site)
    sample_answers(world, drawn, today).to_parquet(site.private / "answers.parquet", index=False)
    write_json(site.private / "calendar.json", calendar(drawn))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        first = flights.first_day(drawn)
        flights.write_arrivals(world, root / "feeds" / "arrivals", first, today)
        flights.write_weather(world, root / "feeds" / "weather", first, today)
        flights.write_routes(world, root / "feeds" / "routes.csv")
        write_json(root / "plan.json", plan(drawn, today, root, site))
        scripts.run(Path(__file__).with_name("history.py"), root / "plan.json", [site.workspace])


def write_feeds(world: flights.World, today: date, site: Site) -> None:
    """What was delivered into the workspace, and the hidden days and forecasts into private/."""
    yesterday = today - timedelta(days=1)
    feeds, first = site.workspace / "feeds", today - timedelta(days=FEED_DAYS)
    site.private.mkdir(parents=True, exist_ok=True)
    flights.write_arrivals(world, feeds / "arrivals", first, yesterday)
    flights.write_weather(world, feeds / "weather", first, yesterday)
    flights.write_routes(world, feeds / "routes.csv")
    flights.write_arrivals(world, site.private / "arrivals", today, today + timedelta(days=HIDDEN_DAYS))
    before, after = (timedelta(days=n) for n in FORECAST_DAYS)
    flights.write_weather(world, site.private / "weather", today - before, today + after)


def sample_answers(world: flights.World, drawn: Mapping[str, Any], today: date) -> pd.DataFrame:
    """The flights asked about on the last 28 days, each on its own day, with the model's inputs but for the rates.

    Returns row_id, date, carrier, flight, origin, dest, sched_dep, hour, distance_mi and the weather columns.
    """
    rng = random.Random(f"{drawn['sample_seed']}/answers")
    first, last = str(today - timedelta(days=LOGGED_DAYS)), str(today - timedelta(days=1))
    flown = world.arrivals[world.arrivals["date"].between(first, last)].reset_index(drop=True)
    key = ["carrier", "flight", "origin", "dest"]
    often = flown.groupby(key).size()
    often = often[often >= REGULAR_DAYS].sort_index()
    regular = set(rng.sample(list(often.index), min(REGULAR_FLIGHTS, len(often))))
    is_regular = pd.Series([each in regular for each in flown[key].itertuples(index=False, name=None)])
    picked: list[int] = []
    for _, rows in flown.groupby("date", sort=True):
        standing = [int(n) for n in rows.index[is_regular[rows.index]]]
        others = [int(n) for n in rows.index[~is_regular[rows.index]]]
        picked += sorted(standing + rng.sample(others, max(0, rng.randint(*ANSWERS_A_DAY) - len(standing))))
    answers = flown.iloc[picked].drop(columns="arr_delay_min").reset_index(drop=True)
    number = answers.groupby("date").cumcount() + 1
    answers.insert(0, "row_id", answers["date"].str.replace("-", "") + "-" + number.astype(str).str.zfill(4))
    answers["hour"] = answers["sched_dep"].str[11:13].astype(float)
    answers = answers.merge(world.routes, how="left", on=["origin", "dest"])
    weather = world.weather[["date", "origin", "hour", *_WEATHER]].astype({"hour": float})
    return answers.merge(weather, how="left", on=["date", "origin", "hour"])


def plan(drawn: Mapping[str, Any], today: date, root: Path, site: Site) -> dict[str, Any]:
    """What history.py is told; see its `Plan`."""
    first = flights.first_day(drawn)
    begin, end = (date.fromisoformat(day) for day in drawn["outage"])
    return {
        "today": str(today),
        "first": str(first),
        "feeds": str(root),
        "workspace": str(site.workspace),
        "registry": str(site.registry),
        "private": str(site.private),
        "nights": nights.plan(today, first, (begin, end), date.fromisoformat(drawn["gap"])),
        "seed": drawn["sample_seed"],
        "cache": os.environ.get("EXAM_CACHE"),
    }


def calendar(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What the provider, the traffic and the grader need to know of the story."""
    return {
        "business_date": drawn["business_date"],
        "offset": flights.OFFSET,
        "airports": list(flights.ORIGINS),
        "carriers": sorted(drawn["carriers"].values()),
        "destinations": sorted(drawn["destinations"].values()),
        "outage": drawn["outage"],
        "gap": drawn["gap"],
    }


def facts(variant: Variant, site: Site) -> dict[str, float]:
    """The true values of the countable facts, from the delivered log and feeds.

    answers_7d  answers logged on the seven days before the business date
    mean_risk_7d  mean p_late of those answers
    late_share_7d  share of late ones among those flights that arrived
    """
    days = [variant.business_date - timedelta(days=n) for n in range(7, 0, -1)]
    log = pd.concat([_read(site.workspace / "state" / "predictions" / f"{day}.csv") for day in days])
    arrivals = pd.concat([_read(site.workspace / "feeds" / "arrivals" / f"{day}.csv") for day in days])
    key = ["carrier", "flight", "origin", "dest", "sched_dep"]
    delays = log.drop_duplicates(key).merge(arrivals, on=key)["arr_delay_min"].dropna().astype(float)
    return {
        "answers_7d": float(len(log)),
        "mean_risk_7d": float(log["p_late"].astype(float).mean()),
        "late_share_7d": float((delays > LATE_AFTER_MIN).mean()),
    }


def write_json(path: Path, content: Any) -> None:
    """Write JSON with a line end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
