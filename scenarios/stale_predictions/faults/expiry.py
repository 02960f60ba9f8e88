"""feature_expiry: incomplete or old partitions are used."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta

import pandas as pd
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from . import days
from .common import partition_file, read_log, set_rates

FILE = "delays/features.py"

# --- marker_ignored ---------------------------------------------------------------------------------------------------

READ = '''\
    """The partition in a folder, or None when it is not complete: no marker, or one that is not true."""
    try:
        content = (folder / "part.csv").read_bytes()
        marker = json.loads((folder / "_SUCCESS.json").read_bytes())
        digest = hashlib.sha256(content).hexdigest()
'''
READ_ANYWAY = '''    """The partition in a folder, or None when it cannot be read."""
    try:
        content = (folder / "part.csv").read_bytes()
        digest = hashlib.sha256(content).hexdigest()
'''
MARKER = """        if marker["sha256"] != digest or marker["rows"] != len(frame):
            return None
"""
KEPT_SHARE = 0.5


def draw_marker_ignored(rng: random.Random, values: days.Values) -> DrawnFault:
    """Two partitions were left half written: one without a marker, one with the marker of the whole."""
    first = days.a_day(rng, values, 9, 7)
    torn = [str(first - timedelta(days=1)), str(first + timedelta(days=1))]
    return DrawnFault(
        slot="feature_expiry",
        form="marker_ignored",
        values={"from": str(first), "torn": torn},
        pairs=(
            ("feature store", "truncated_rows"),
            ("feature store", "expired_accepted"),
            ("ingestion", "truncated_rows"),
        ),
        onset=first,
        pointers=(FILE, *(f"features/date={day}/*" for day in torn), "state/predictions/*"),
        symptom=f"Answers of {first} rest on a partition that was never completed.",
        shows_in=("incomplete_skipped",),
    )


def apply_marker_ignored(site: Site, fault: DrawnFault) -> None:
    """Read without looking at the marker."""
    site.replace(FILE, READ, READ_ANYWAY)
    site.replace(FILE, MARKER, "")


def tell_marker_ignored(site: Site, fault: DrawnFault) -> None:
    """Tear two partitions."""
    for number, text in enumerate(fault.values["torn"]):
        torn = date.fromisoformat(text)
        set_rates(site, torn, tear(site, torn, keep_marker=number == 1))


def tear(site: Site, day: date, *, keep_marker: bool) -> dict[str, float]:
    """Leave the first half of a partition; returns the rates that are left."""
    path = partition_file(site, day)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    left = lines[: 1 + round((len(lines) - 1) * KEPT_SHARE)]
    path.write_text("".join(left), encoding="utf-8")
    if not keep_marker:
        path.with_name("_SUCCESS.json").unlink()
    rows = [line.strip().split(",") for line in left[1:]]
    return {key: float(rate) for key, rate, _ in rows}


def torn_days(site: Site) -> int:
    """Days of the log whose feature_date names a partition that is not complete."""
    used = read_log(site)["feature_date"].unique()
    return sum(not complete(site, date.fromisoformat(day)) for day in used if day and _there(site, day))


def _there(site: Site, day: str) -> bool:
    return partition_file(site, date.fromisoformat(day)).is_file()


def complete(site: Site, day: date) -> bool:
    """Whether a partition has a marker that counts its rows."""
    path = partition_file(site, day)
    try:
        marker = json.loads(path.with_name("_SUCCESS.json").read_text(encoding="utf-8"))
    except OSError:
        return False
    return bool(marker["rows"] == len(path.read_text(encoding="utf-8").splitlines()) - 1)


def visible_marker(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Days answered from an incomplete partition."""
    return Symptom("incomplete partitions named by answers", float(torn_days(broken)), float(torn_days(healthy)))


# --- age_unchecked ----------------------------------------------------------------------------------------------------

BOUND = """    oldest = business_date - timedelta(days=VALID_DAYS)
    dated = [(day, folder) for day, folder in _folders(root) if oldest <= day < business_date]
"""
NO_BOUND = "    dated = [(day, folder) for day, folder in _folders(root) if day < business_date]\n"
SAYS = '    """The newest complete partition dated D-1 to D-VALID_DAYS, or None: features are expired."""\n'
SAYS_LESS = '    """The newest complete partition, or None: features are expired."""\n'


def draw_age_unchecked(_: random.Random, values: days.Values) -> DrawnFault:
    """In the outage, from its third night on, partitions older than three days were used, and nobody was told."""
    first, last = days.outage(values)
    onset = first + timedelta(days=2)
    return DrawnFault(
        slot="feature_expiry",
        form="age_unchecked",
        values={"from": str(onset), "to": str(last)},
        pairs=(("feature store", "expired_accepted"), ("feature store", "stale_selection")),
        onset=onset,
        pointers=(FILE, "state/predictions/*", "state/alerts.jsonl"),
        symptom=f"From {onset} to {last} answers rest on features four to six days old, and no alert says so.",
        shows_in=("expired_refused",),
    )


def apply_age_unchecked(site: Site, _: DrawnFault) -> None:
    """Take the lower bound away."""
    site.replace(FILE, SAYS + BOUND, SAYS_LESS + NO_BOUND)


def tell_age_unchecked(site: Site, _: DrawnFault) -> None:
    """Old partitions were used on, and nobody was told."""
    site.story["expired_accepted"] = True


def lags(site: Site) -> pd.Series:
    """By day: the age in days of the oldest features that were used."""
    log = read_log(site)
    log = log[log["feature_date"] != ""]
    age = pd.to_datetime(log["scored_at"]) - pd.to_datetime(log["feature_date"])
    return age.dt.days.groupby(log["scored_at"]).max()


def visible_age(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Oldest features in the log."""
    return Symptom("largest age of features in the log, days", float(lags(broken).max()), float(lags(healthy).max()))


FORMS = (
    Form(
        slot="feature_expiry",
        name="marker_ignored",
        draw=draw_marker_ignored,
        apply=apply_marker_ignored,
        tell=tell_marker_ignored,
        in_place=says(FILE, READ_ANYWAY),
        visible=visible_marker,
    ),
    Form(
        slot="feature_expiry",
        name="age_unchecked",
        draw=draw_age_unchecked,
        apply=apply_age_unchecked,
        tell=tell_age_unchecked,
        in_place=says(FILE, SAYS_LESS + NO_BOUND),
        visible=visible_age,
    ),
)
