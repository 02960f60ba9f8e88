"""The story of a variant: its values, the healthy world in an empty site, what its faults made of it, and the facts.

The nights are lived through by the workspace's own code (history.py): in a healthy layout by the healthy tree, in a
broken one again from the night before the earliest onset, by code that has each fault from its onset on.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from scenario_base import flights, provider, scripts

from harness.model import DrawnFault, Form, Site, Variant

from . import deliveries
from . import world as worlds

REAL_BUSINESS_DAYS = (
    (date(2013, 6, 14), date(2013, 6, 20)),
    (date(2013, 6, 28), date(2013, 6, 29)),
    (date(2013, 7, 5), date(2013, 7, 10)),
    (date(2013, 7, 16), date(2013, 7, 17)),
    (date(2013, 7, 23), date(2013, 7, 23)),
    (date(2013, 7, 31), date(2013, 8, 6)),
)
"""Stretches, both ends included. On each of these days the log loss of an honest model on the seven days from then on
is within .065 of the one on its holdout, the seven days before (up to .27 off on other days from 10 June to 10 August),
and on the holdout it is better than a constant by at least .02."""

NIGHTS = 20
"""Nights that are lived through, the last one on the day before the business date."""

EARLIEST_ONSET = 18
"""Days before the business date; no fault shows earlier, so broken layouts begin with the healthy state before it."""

OLDER_DAYS = 81
"""Days that a night looks back on: the first one has deliveries that the workspace does not hold any more."""

MONTHLY_DAY = 28
MONTHS = 3
TRAINABLE_DAYS = 81
"""A version needs so many days before it: rates, training and holdout."""

ANSWERS_A_DAY = (143, 157)
LEAD_DAYS = (0, 0, 0, 1, 1, 2, 3)
"""How long before the departure people ask, as often as they do."""

LATE_AFTER_MIN = 60
FACT_DAYS = 7
WORKSPACE = Path(__file__).with_name("workspace")


def values(rng: random.Random) -> dict[str, Any]:
    """What a seed draws: the remapping (`flights.draw`), and what is odd about the deliveries (`deliveries.draw`)."""
    drawn = flights.draw(rng, REAL_BUSINESS_DAYS)
    return {**drawn, **deliveries.draw(rng, date.fromisoformat(drawn["business_date"]))}


# --- the healthy world ------------------------------------------------------------------------------------------------


def lay_out(variant: Variant, site: Site) -> None:
    """Fill an empty site (its workspace already holds the healthy tree) with the healthy world.

    `EXAM_CACHE` may name a folder that keeps a migrated empty registry database. private/story keeps what layouts with
    faults begin with.
    Raises EnvironmentFault without the flights data, ScenarioError with the script's last words when history fails.
    """
    drawn, today = variant.values, variant.business_date
    world, kept, first = worlds.read(drawn), site.private / "story", today - timedelta(days=NIGHTS)
    write_json(site.private / "calendar.json", calendar(drawn))
    write_json(kept / "questions.json", questions(world, drawn, today))
    deliveries.write_weather(world, drawn, kept / "weather", first, today + timedelta(days=max(LEAD_DAYS)))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        older = today - timedelta(days=deliveries.FEED_DAYS + 1)
        for each in deliveries.deliveries(world, drawn, first - timedelta(days=OLDER_DAYS), older):
            deliveries.write_files(root / "life" / "feeds", each.files())
        nights = deliveries.write_feeds(world, drawn, today, site)
        write_json(kept / "nights.json", {str(night): files for night, files in nights.items() if night > first})
        worlds.table(world, today - timedelta(days=1)).to_parquet(root / "truth.parquet", index=False)
        monthly = monthly_nights(flights.first_day(drawn), first)
        told = {"nights": str(first), "kept": str(today - timedelta(days=EARLIEST_ONSET)), "resumed": False}
        told |= {"monthly": [str(night) for night in monthly], "truth": str(root / "truth.parquet")}
        _live(variant, site, root, told | {"codes": [(str(first), str(site.workspace))]})


def questions(world: worlds.World, drawn: Mapping[str, Any], today: date) -> dict[str, list[dict[str, Any]]]:
    """What passengers ask on each day of the story, by day: rows of /predict about flights up to three days ahead."""
    rng = random.Random(f"{drawn['sample_seed']}/questions")
    flown = world.between(today - timedelta(days=NIGHTS), today + timedelta(days=max(LEAD_DAYS))).flights
    by_day = {str(day): rows.to_dict("records") for day, rows in flown.groupby("date", sort=True)}
    asked: dict[str, list[dict[str, Any]]] = {}
    for before in range(NIGHTS, 0, -1):
        day = today - timedelta(days=before)
        leads = sorted(rng.choices(LEAD_DAYS, k=rng.randint(*ANSWERS_A_DAY)))
        found = [rng.choice(by_day[str(day + timedelta(days=lead))]) for lead in leads]
        rng.shuffle(found)
        names = ("carrier", "flight", "origin", "dest", "sched_dep")
        asked[str(day)] = [
            {"row_id": f"{day:%Y%m%d}-{number:04d}", **{name: row[name] for name in names}}
            for number, row in enumerate(found, 1)
        ]
    return asked


def monthly_nights(first_data: date, first_night: date) -> list[date]:
    """Nights of the versions before the story's: the 28th of the latest months that have enough days before it."""
    days = (first_data + timedelta(days=n) for n in range(TRAINABLE_DAYS, (first_night - first_data).days))
    return [day for day in days if day.day == MONTHLY_DAY][-MONTHS:]


def calendar(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What the provider, the traffic and the grader need to know of the story."""
    told = ("unit_changes", "odd_source", "bad", "short", "wrong")
    return {
        "business_date": drawn["business_date"],
        "offset": flights.OFFSET,
        "airports": list(flights.ORIGINS),
        "carriers": sorted(drawn["carriers"].values()),
        "destinations": sorted(drawn["destinations"].values()),
        **{name: drawn[name] for name in told},
    }


# --- faults -----------------------------------------------------------------------------------------------------------


def finish(variant: Variant, site: Site) -> None:
    """Live through the nights again with the variant's faults, each from its onset on; nothing to do without faults.

    The site is a copy of the healthy one with every fault in its workspace's code. A fault without an onset is in the
    code from the first of these nights. `site.story["edits"]` may hold functions of the site that are called at last.
    Raises ScenarioError when a form does not apply or history fails.
    """
    if not variant.faults:
        return
    first = variant.business_date - timedelta(days=EARLIEST_ONSET)
    with tempfile.TemporaryDirectory() as folder:
        codes = _codes(variant, site, Path(folder) / "codes", first)
        told = {"nights": str(first), "kept": None, "resumed": True, "monthly": [], "truth": None}
        _live(variant, site, Path(folder), told | {"codes": codes})
    for edit in site.story.get("edits", ()):
        edit(site)


def _codes(variant: Variant, site: Site, folder: Path, first: date) -> list[tuple[str, str]]:
    """The healthy tree with the faults that each night has, for every night on which another one begins."""
    begins = {fault.id: max(fault.onset or first, first) for fault in variant.faults}
    codes = []
    for number, night in enumerate(sorted({first, *begins.values()})):
        place = folder / str(number)
        shutil.copytree(WORKSPACE, place, ignore=shutil.ignore_patterns("__pycache__"))
        for fault in variant.faults:
            if begins[fault.id] <= night:
                _form(fault).apply(Site(place, site.registry, site.private), fault)
        codes.append((str(night), str(place)))
    return codes


def _form(fault: DrawnFault) -> Form:
    from .faults import FORMS  # the healthy world is laid out without them

    found: Form = next(form for form in FORMS if form.id == fault.id)
    return found


def _live(variant: Variant, site: Site, folder: Path, told: Mapping[str, Any]) -> None:
    """Run history.py with what it is told beside the places."""
    home = folder / "life"
    home.mkdir(exist_ok=True)
    plan = {
        "today": str(variant.business_date),
        "healthy": str(WORKSPACE),
        "root": str(home),
        "workspace": str(site.workspace),
        "registry": str(site.registry),
        "private": str(site.private),
        "story": str(site.private / "story"),
        "provider": str(Path(provider.__file__)),
        "seed": variant.values["sample_seed"],
        "cache": os.environ.get("EXAM_CACHE"),
        **told,
    }
    write_json(folder / "plan.json", plan)
    scripts.run(Path(__file__).with_name("history.py"), folder / "plan.json")


# --- facts ------------------------------------------------------------------------------------------------------------


def facts(variant: Variant, site: Site) -> dict[str, float]:
    """The true values of the countable facts, from the delivered feeds and the delivered log.

    flights_7d  distinct flights that the sources delivered for the seven days before the business date, in whatever
                delivery, refused ones included
    late_share_7d  share of those that arrived, by their newest delivery, that came more than 60 minutes late
    mean_risk_7d  mean p_late of the answers logged on these days that no row supersedes
    """
    days = [variant.business_date - timedelta(days=n) for n in range(FACT_DAYS, 0, -1)]
    flown = pd.concat([_delivered(site.workspace / "feeds", source, day) for day in days for source in flights.ORIGINS])
    newest = flown.drop_duplicates(list(worlds.KEY), keep="last")
    delays = newest["arr_delay"].dropna().astype(float)
    logs = [path for day in days if (path := site.workspace / "state" / "predictions" / f"{day}.csv").is_file()]
    log = pd.concat([_read(path) for path in logs])
    standing = log[~log["row_id"].isin(log["supersedes"].dropna())]
    return {
        "flights_7d": float(len(newest)),
        "late_share_7d": float((delays > LATE_AFTER_MIN).mean()),
        "mean_risk_7d": float(standing["p_late"].astype(float).mean()),
    }


def _delivered(feeds: Path, source: str, day: date) -> pd.DataFrame:
    """The flights of a source's day, later deliveries last."""
    numbered = sorted(
        (int(path.name.split(".")[0]), path) for path in (feeds / source / str(day)).glob("*.flights.csv")
    )
    return pd.concat([_read(path) for _, path in numbered]).assign(date=str(day), origin=source)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with a line end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
