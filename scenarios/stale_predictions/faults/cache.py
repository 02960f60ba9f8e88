"""cache: the key of the answer cache lacks something that makes an answer."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pandas as pd
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .. import traces
from . import days
from .common import FLIGHT, Edit, Log, appended, clean_p99, edit_log, read_log, with_partition

FILE = "delays/service.py"
PAIRS = (("cache", "cache_key_incomplete"), ("request handling", "cache_key_incomplete"))
POINTERS = (FILE, "state/predictions/*")
SAYS = '    """Everything that makes an answer: model, features, the flight with its departure, and its weather."""\n'
KEY = """    flight = (row.carrier, row.flight, row.origin, row.dest, row.sched_dep)
    measured = tuple(weather.get(name) for name in feeds.WEATHER)
    return repr((snapshot.lineage, flight, distance, measured))
"""


# --- key_without_version ----------------------------------------------------------------------------------------------

FEATURES_ONLY = """    flight = (row.carrier, row.flight, row.origin, row.dest, row.sched_dep)
    features = (snapshot.partition.date, snapshot.partition.sha256) if snapshot.partition else None
    measured = tuple(weather.get(name) for name in feeds.WEATHER)
    return repr((features, flight, distance, measured))
"""
ROLLED_BACK = (0.35, 0.60)
"""The part of a day's answers during which the alias stood on another version."""


def draw_key_without_version(rng: random.Random, values: days.Values) -> DrawnFault:
    """On a day the alias stood on another version for hours; what was asked then kept that answer until midnight."""
    day = days.a_day(rng, values, 15, 14)
    return DrawnFault(
        slot="cache",
        form="key_without_version",
        values={"from": str(day)},
        pairs=PAIRS,
        onset=day,
        pointers=POINTERS,
        symptom=f"On {day} questions that were asked again kept the answer of the rollback.",
        shows_in=("answer_follows_version",),
    )


def apply_key_without_version(site: Site, fault: DrawnFault) -> None:
    """Leave version and run out of the key."""
    site.replace(FILE, SAYS, SAYS.replace("Everything that", "What").replace("model, ", ""))
    site.replace(FILE, KEY, FEATURES_ONLY)


def tell_key_without_version(site: Site, fault: DrawnFault) -> None:
    """A rollback of some hours shows it."""
    edit_log(site, _rolled_back(site, date.fromisoformat(fault.values["from"])))


def _rolled_back(site: Site, day: date) -> Edit:
    def edit(log: Log, told: traces.Told) -> Log:
        rows = log[log["scored_at"] == str(day)]
        standing = str(rows["model_version"].mode().iloc[0])
        other = next(each for each in ("3", "2", "1") if each != standing)
        first, last = (round(len(rows) * share) for share in ROLLED_BACK)
        window = rows.index[first:last]
        log.loc[window, "model_version"] = other
        chosen = str(rows["feature_date"].iloc[0])
        rates = traces._rates(str(day), chosen, told, site.story)
        log = with_partition(log, told, day, date.fromisoformat(chosen), rates)
        return appended(log, log.loc[window])

    return edit


def kept_versions(site: Site, day: date) -> int:
    """Questions that were asked again on a day and had the version of the first time, while others had another."""
    log = read_log(site, day)
    log = log[log["scored_at"] == str(day)]
    again = log[log.duplicated([*FLIGHT, "sched_dep"])]
    once = log.drop_duplicates([*FLIGHT, "sched_dep"])["model_version"]
    return int((again["model_version"] != once.mode().iloc[0]).sum())


def visible_version(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Repeated questions with a version that was gone."""
    day = date.fromisoformat(fault.values["from"])
    what = "repeated questions answered by a version that served no more"
    return Symptom(what, float(kept_versions(broken, day)), float(kept_versions(healthy, day)))


# --- key_without_features ---------------------------------------------------------------------------------------------

MODEL_ONLY = """    flight = (row.carrier, row.flight, row.origin, row.dest, row.sched_dep)
    measured = tuple(weather.get(name) for name in feeds.WEATHER)
    return repr((snapshot.version.number, snapshot.version.run_id, flight, distance, measured))
"""
ASKED_BEFORE = 0.25


def draw_key_without_features(rng: random.Random, values: days.Values) -> DrawnFault:
    """Since a day a question asked the evening before keeps that answer, with the features of the day before."""
    _, last = days.outage(values)
    # The evening before must have had features: in the outage there was nothing to keep.
    since = max(days.a_day(rng, values, 15, 14), last + timedelta(days=2))
    return DrawnFault(
        slot="cache",
        form="key_without_features",
        values={"from": str(since)},
        pairs=PAIRS,
        onset=since,
        pointers=POINTERS,
        symptom=f"Since {since} a quarter of the answers carry an older feature_date than others of their day.",
        shows_in=("answer_follows_features",),
    )


def apply_key_without_features(site: Site, fault: DrawnFault) -> None:
    """Leave the features out of the key."""
    site.replace(FILE, SAYS, SAYS.replace("Everything that", "What").replace("features, ", ""))
    site.replace(FILE, KEY, MODEL_ONLY)


def tell_key_without_features(site: Site, fault: DrawnFault) -> None:
    """Questions of the evening before show it."""
    edit_log(site, _asked_before(site, date.fromisoformat(fault.values["from"])))


def _asked_before(site: Site, since: date) -> Edit:
    """Each day some questions were asked the evening before: those rows go into that day's log, answers are kept."""

    def edit(log: Log, told: traces.Told) -> Log:
        evening: list[pd.DataFrame] = []
        for text in sorted({day for day in log["scored_at"] if day >= str(since)}):
            day = date.fromisoformat(text)
            yesterday = log[log["scored_at"] == str(day - timedelta(days=1))]
            chosen = log[log["scored_at"] == text].sample(frac=ASKED_BEFORE, random_state=day.toordinal())
            # Only a version that had served the evening before can have answered then.
            chosen = chosen[chosen["model_version"].isin(yesterday["model_version"])].sort_index()
            if yesterday["feature_date"].isna().all():  # nobody asked, or there was no partition to answer from
                continue
            used = str(yesterday["feature_date"].mode().iloc[0])
            early = _answered_from(chosen, used, str(day - timedelta(days=1)), told, site)
            log.loc[early.index, ["p_late", "feature_date"]] = early[["p_late", "feature_date"]].to_numpy()
            evening.append(early.assign(scored_at=str(day - timedelta(days=1))))
        return appended(log, pd.concat(evening)) if evening else log

    return edit


def _answered_from(rows: Log, partition: str, day: str, told: traces.Told, site: Site) -> Log:
    if rows.empty:
        return rows
    rates = traces._rates(day, partition, told, site.story)
    return with_partition(
        rows.assign(scored_at=day), told, date.fromisoformat(day), date.fromisoformat(partition), rates
    )


def older_shares(site: Site) -> pd.Series:
    """By day: share of answers whose feature_date is older than the newest of the day."""
    log = read_log(site)
    newest = log.groupby("scored_at")["feature_date"].transform("max")
    return (log["feature_date"] < newest).groupby(log["scored_at"]).mean()


def visible_features(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Answers with older features than others of their day."""
    shares = older_shares(broken)
    measured = shares[shares.index >= fault.values["from"]].mean()
    return Symptom("share of answers with older features than others of their day", float(measured),
                   clean_p99(older_shares(healthy)))  # fmt: skip


# --- key_without_departure --------------------------------------------------------------------------------------------

CALL = "            key = answer_key(snapshot, row, distance, of_hour)\n"
SHORT_CALL = "            key = answer_key(snapshot, row, distance)\n"
SIGNATURE = "def answer_key(snapshot: Snapshot, row: Row, distance: float | None, weather: dict[str, Any]) -> str:\n"
SHORT = '''def answer_key(snapshot: Snapshot, row: Row, distance: float | None) -> str:
    """Everything that makes an answer: model, features and the flight."""
    return repr((snapshot.lineage, row.carrier, row.flight, row.origin, row.dest, distance))
'''
ASKED_AHEAD = 0.2


def draw_key_without_departure(rng: random.Random, values: days.Values) -> DrawnFault:
    """Since a day tomorrow's departure of a flight gets the answer that today's got."""
    since = days.a_day(rng, values, 9, 6)
    return DrawnFault(
        slot="cache",
        form="key_without_departure",
        values={"from": str(since)},
        pairs=PAIRS,
        onset=since,
        pointers=POINTERS,
        symptom=f"Since {since} another departure of a flight that was asked about gets the same answer.",
        shows_in=("answer_follows_features",),
    )


def apply_key_without_departure(site: Site, fault: DrawnFault) -> None:
    """Leave departure and weather out of the key."""
    site.replace(FILE, CALL, SHORT_CALL)
    site.replace(FILE, SIGNATURE + SAYS + KEY, SHORT)


def tell_key_without_departure(site: Site, fault: DrawnFault) -> None:
    """Questions about tomorrow's departure show it."""
    edit_log(site, _asked_ahead(date.fromisoformat(fault.values["from"])))


def _asked_ahead(since: date) -> Edit:
    """Each day some passengers ask about the same flight of the next day too."""

    def edit(log: Log, told: traces.Told) -> Log:
        late = log[log["scored_at"] >= str(since)]
        chosen = late.groupby("scored_at").sample(frac=ASKED_AHEAD, random_state=since.toordinal()).sort_index()
        departure = [f"{date.fromisoformat(text[:10]) + timedelta(days=1)}{text[10:]}" for text in chosen["sched_dep"]]
        return appended(log, chosen.assign(sched_dep=departure))

    return edit


def same_answers(site: Site) -> int:
    """Questions of one day about two departures of a flight that got the same risk to the last digit."""
    log = read_log(site)
    questions = log.drop_duplicates(["scored_at", *FLIGHT, "sched_dep"])
    return int(questions.duplicated(["scored_at", *FLIGHT, "p_late"]).sum())


def visible_departure(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Departures that share an answer."""
    what = "departures that got the answer of another departure of the same flight"
    return Symptom(what, float(same_answers(broken)), float(same_answers(healthy)))


FORMS = (
    Form(
        slot="cache",
        name="key_without_version",
        draw=draw_key_without_version,
        apply=apply_key_without_version,
        tell=tell_key_without_version,
        in_place=says(FILE, FEATURES_ONLY),
        visible=visible_version,
    ),
    Form(
        slot="cache",
        name="key_without_features",
        draw=draw_key_without_features,
        apply=apply_key_without_features,
        tell=tell_key_without_features,
        in_place=says(FILE, MODEL_ONLY),
        visible=visible_features,
    ),
    Form(
        slot="cache",
        name="key_without_departure",
        draw=draw_key_without_departure,
        apply=apply_key_without_departure,
        tell=tell_key_without_departure,
        in_place=says(FILE, SHORT),
        visible=visible_departure,
    ),
)
