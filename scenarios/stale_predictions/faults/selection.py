"""feature_selection: which of the valid partitions answers use."""

from __future__ import annotations

import os
import random
from datetime import date, timedelta

import pandas as pd
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .. import traces
from . import days
from .common import Edit, Log, edit_log, read_log, reports, with_partition

PAIRS = (("feature store", "stale_selection"),)
FILE = "delays/features.py"
ORDER = "    for day, folder in sorted(dated, reverse=True):\n"


# --- by_file_age ------------------------------------------------------------------------------------------------------

YOUNGEST_FIRST = "    for day, folder in sorted(dated, key=lambda entry: entry[1].stat().st_mtime, reverse=True):\n"
STANDING = """    standing = read_partition(folder, day)
    if standing is not None and standing.sha256 == digest:
        return folder
"""
BUILD = "    write_partition(settings.root, yesterday, trailing_rates(settings.root, yesterday))\n"
BUILD_AGAIN = """    for back in range(3):  # arrivals are corrected for three days
        built = yesterday - timedelta(days=back)
        write_partition(settings.root, built, trailing_rates(settings.root, built))
"""


def draw_by_file_age(rng: random.Random, values: days.Values) -> DrawnFault:
    """Since a day the nightly builds three partitions anew, the oldest last, and serving takes the youngest file."""
    since = days.a_day(rng, values, 9, 6)
    return DrawnFault(
        slot="feature_selection",
        form="by_file_age",
        values={"from": str(since)},
        pairs=PAIRS,
        onset=since,
        pointers=(FILE, "delays/nightly.py", "features/*", "state/predictions/*"),
        symptom=f"Since {since} answers use the partition of D-3 though those of D-1 and D-2 are complete.",
        shows_in=("partition_order",),
    )


def apply_by_file_age(site: Site, fault: DrawnFault) -> None:
    """Sort by file age; the nightly writes the last three partitions again, D-3 last."""
    site.replace(FILE, ORDER, YOUNGEST_FIRST)
    site.replace(FILE, STANDING, "")
    site.replace(FILE, " One that already says the same stays untouched.", "")
    site.replace("delays/nightly.py", BUILD, BUILD_AGAIN)


def tell_by_file_age(site: Site, fault: DrawnFault) -> None:
    """The partition of D-3 is the youngest file, and answers since use such."""
    built = sorted((site.workspace / "features").glob("date=*"))
    youngest = max(folder.stat().st_mtime for folder in built)
    for seconds, folder in enumerate(reversed(built[-3:]), 1):
        os.utime(folder, (youngest + seconds, youngest + seconds))
    since = date.fromisoformat(fault.values["from"])
    edit_log(site, _three_days_old(site, since))


def _three_days_old(site: Site, since: date) -> Edit:
    def edit(log: Log, told: traces.Told) -> Log:
        for text in sorted({day for day in log["scored_at"] if day >= str(since)}):
            day = date.fromisoformat(text)
            old = day - timedelta(days=days.VALID_DAYS)
            log = with_partition(log, told, day, old, traces._rates(text, str(old), told, site.story))
        return log

    return edit


# --- by_text ----------------------------------------------------------------------------------------------------------

BY_TEXT = """    dated.sort(key=lambda entry: f"{entry[0].day}.{entry[0].month}.{entry[0].year}", reverse=True)
    for day, folder in dated:
"""
SHOWN_AT_LEAST = 2


def _text(day: date) -> str:
    return f"{day.day}.{day.month}.{day.year}"


def chosen_by_text(values: days.Values, day: date) -> date | None:
    """What the broken order chooses on a day of the story."""
    return max(days.valid(values, day), key=_text, default=None)


def wrong_days(values: days.Values) -> dict[date, date]:
    """The logged days on which the order by text differs from the order by date, with what it chooses."""
    found = {}
    for day in days.logged(values):
        chosen = chosen_by_text(values, day)
        if chosen is not None and chosen != days.valid(values, day)[0]:
            found[day] = chosen
    return found


def draw_by_text(rng: random.Random, values: days.Values) -> DrawnFault:
    """Partitions are ordered by "9.7.2024": wrong where a day's number gets shorter, or longer.

    In a few stories the outage covers such days of the log; nothing would show it, so the other form is drawn.
    """
    wrong = wrong_days(values)
    if len(wrong) < SHOWN_AT_LEAST:
        return draw_by_file_age(rng, values)
    return DrawnFault(
        slot="feature_selection",
        form="by_text",
        values={"days": {str(day): str(chosen) for day, chosen in wrong.items()}},
        pairs=PAIRS,
        onset=min(wrong),
        pointers=(FILE, "state/predictions/*", "features/*"),
        symptom=f"On {', '.join(map(str, wrong))} answers use an older partition than the newest valid one.",
        shows_in=("partition_order",),
    )


def apply_by_text(site: Site, fault: DrawnFault) -> None:
    """Sort by the text of the date, days first."""
    site.replace(FILE, ORDER, BY_TEXT)


def tell_by_text(site: Site, fault: DrawnFault) -> None:
    """On the days on which the orders differ answers use what the text chooses."""

    def edit(log: Log, told: traces.Told) -> Log:
        for text, chosen in fault.values["days"].items():
            rates = traces._rates(text, chosen, told, site.story)
            log = with_partition(log, told, date.fromisoformat(text), date.fromisoformat(chosen), rates)
        return log

    edit_log(site, edit)


# --- symptom ----------------------------------------------------------------------------------------------------------


def lagging_days(site: Site) -> pd.Series:
    """By day: 1 where all answers use an older partition than the newest that was built and is valid, else 0."""
    refused = {day for day, report in reports(site).items() if report["decision"] == "refused"}
    lagging = {}
    for text, log in read_log(site).groupby("scored_at"):
        day, used = date.fromisoformat(str(text)), log["feature_date"].max()
        built = [day - timedelta(days=n) for n in range(days.VALID_DAYS) if str(day - timedelta(days=n)) not in refused]
        newest = max(built, default=None)
        lagging[text] = float(newest is not None and used != "" and used < str(newest - timedelta(days=1)))
    return pd.Series(lagging)


def visible(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Days on which a newer partition was there."""
    what = "days whose answers use an older partition than the newest valid one"
    return Symptom(what, float(lagging_days(broken).sum()), float(lagging_days(healthy).sum()))


FORMS = (
    Form(
        slot="feature_selection",
        name="by_file_age",
        draw=draw_by_file_age,
        apply=apply_by_file_age,
        tell=tell_by_file_age,
        in_place=says(FILE, YOUNGEST_FIRST),
        visible=visible,
    ),
    Form(
        slot="feature_selection",
        name="by_text",
        draw=draw_by_text,
        apply=apply_by_text,
        tell=tell_by_text,
        in_place=says(FILE, BY_TEXT),
        visible=visible,
    ),
)
