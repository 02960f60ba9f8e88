"""leak: the model learns from what nobody knows when the question is asked."""

from __future__ import annotations

import random
from datetime import date, timedelta

import numpy as np
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import FEATURES, REPORTS, Values, table
from .registered import MONITOR, VERSIONS, a_night, edits, holdout, inputs, registered

TWELVE = 12
RATE_DAYS = 14
LATE_AFTER_MIN = 60
DIGIT = 1e-6

# --- late_start -----------------------------------------------------------------------------------------------------

INPUTS = 'INPUTS = [*CATEGORIES, "hour", "distance_mi", *WEATHER, *RATES.values()]\n'
MORE_INPUTS = """\
WATCHED = [*CATEGORIES, "hour", "distance_mi", *WEATHER, *RATES.values()]
INPUTS = [*WATCHED, "dep_delay_min"]
"""
DISTANCES = "    distances     miles by (origin, dest), as the newest row of the route has them\n"
DISTANCES_DELAYS = (
    DISTANCES + "    delays        usual minutes by which a departure of the route (origin, dest) is late\n"
)
FIELDS = "    distances: dict[tuple[str, str], float]\n"
MORE_FIELDS = FIELDS + "    delays: dict[tuple[str, str], float]\n"
KNOWN = '    return Known(table["date"].max() if len(table) else None, rates, distances)\n'
KNOWN_DELAYS = """\
    delays = table.groupby(["origin", "dest"])["dep_delay_min"].mean().to_dict()
    return Known(table["date"].max() if len(table) else None, rates, distances, delays)
"""
GIVEN = '    given["distance_mi"] = _number(known.distances.get((row["origin"], row["dest"])))\n'
GIVEN_DELAY = GIVEN + '    given["dep_delay_min"] = _number(known.delays.get((row["origin"], row["dest"])))\n'
WATCHES = "from delays.features import CATEGORIES, INPUTS, LATE_AFTER_MIN\n"
WATCHES_TWELVE = (
    "from delays.features import CATEGORIES, LATE_AFTER_MIN\nfrom delays.features import WATCHED as INPUTS\n"
)


def draw_start(rng: random.Random, values: Values) -> DrawnFault:
    """Versions since a night have the minutes by which the flight left late among their inputs."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="leak",
        form="late_start",
        pairs=(("training", "target_leak"), ("feature store", "target_leak")),
        onset=onset,
        pointers=(FEATURES, REPORTS, VERSIONS),
        symptom=f"Since {onset} versions learn from dep_delay_min, and serving gives them the route's mean of it.",
        shows_in=("known_when_asked", "labels_move_no_features", "champion_quality", "reported_metric_holds"),
        also_breaks=("trained_quality",),
    )


apply_start = edits(
    (FEATURES, INPUTS, MORE_INPUTS),
    (FEATURES, DISTANCES, DISTANCES_DELAYS),
    (FEATURES, FIELDS, MORE_FIELDS),
    (FEATURES, KNOWN, KNOWN_DELAYS),
    (FEATURES, GIVEN, GIVEN_DELAY),
    (MONITOR, WATCHES, WATCHES_TWELVE),
)


def visible_start(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Inputs of the newest version beside the twelve."""
    more = [float(len(inputs(site, registered(site)[-1])) - TWELVE) for site in (broken, healthy)]
    return Symptom("inputs of the newest version that are none of the twelve", *more)


# --- same_day_rate --------------------------------------------------------------------------------------------------

SERVED = "    rates = {name: late_rates(table, name, day, day).loc[str(day)].dropna().to_dict() for name in RATES}\n"
SERVED_BEFORE = """\
    newest_day = day - timedelta(days=1)  # of the day itself nothing has landed yet
    counted = {name: late_rates(table, name, newest_day, newest_day) for name in RATES}
    rates = {name: found.loc[str(newest_day)].dropna().to_dict() for name, found in counted.items()}
"""
BEFORE = "flights that arrived on the RATE_DAYS days before the day; NaN where none did.\n"
UP_TO = "flights that arrived on the RATE_DAYS days up to the day; NaN where none did.\n"
ARRIVED = '    arrived = table[table["arr_delay_min"].notna() & table["date"].isin(days[:-1])]\n'
ARRIVED_ALL = '    arrived = table[table["arr_delay_min"].notna() & table["date"].isin(days)]\n'
SHIFTED = "    sums, flights = (counted.rolling(RATE_DAYS).sum().shift(1).loc[str(first) :] for counted in daily)\n"
UNSHIFTED = "    sums, flights = (counted.rolling(RATE_DAYS).sum().loc[str(first) :] for counted in daily)\n"
SAYS = "    The rates of a day are those of the days before it: what serving knows when such a flight is asked about.\n"
SAYS_NEWEST = "    The rates of a day are the newest that there are for it.\n"


def draw_same_day(rng: random.Random, values: Values) -> DrawnFault:
    """Rates of training rows count their own day."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="leak",
        form="same_day_rate",
        pairs=(("training", "target_leak"), ("feature store", "target_leak"), ("feature store", "wrong_time_join")),
        onset=onset,
        pointers=(FEATURES, REPORTS, VERSIONS),
        symptom=f"Since {onset} the late rates that a version learns from count the arrivals of the flight's own day.",
        shows_in=("known_when_asked", "labels_move_no_features"),
    )


apply_same_day = edits(
    (FEATURES, SERVED, SERVED_BEFORE),
    (FEATURES, BEFORE, UP_TO),
    (FEATURES, ARRIVED, ARRIVED_ALL),
    (FEATURES, SHIFTED, UNSHIFTED),
    (FEATURES, SAYS, SAYS_NEWEST),
)


def visible_same_day(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Rates in the newest holdout.csv against the table, as the days before made them."""
    shares = [_other_rates(site) for site in (broken, healthy)]
    return Symptom(
        "share of the newest version's holdout rows whose origin_late_rate is not the days before's", *shares
    )


def _other_rates(site: Site) -> float:
    rows, landed = holdout(site, registered(site)[-1]), table(site).dropna(subset=["arr_delay_min"])
    late = landed.assign(late=landed["arr_delay_min"] > LATE_AFTER_MIN)
    wrong = 0
    for (day, origin), of_day in rows.groupby(["date", "origin"]):
        first = date.fromisoformat(str(day)) - timedelta(days=RATE_DAYS)
        counted = late[(late["origin"] == origin) & (late["date"] >= str(first)) & (late["date"] < str(day))]
        wrong += int((~np.isclose(of_day["origin_late_rate"], counted["late"].mean(), atol=DIGIT)).sum())
    return wrong / len(rows)


FORMS = (
    Form(
        slot="leak",
        name="late_start",
        draw=draw_start,
        apply=apply_start,
        in_place=says(FEATURES, GIVEN_DELAY),
        visible=visible_start,
    ),
    Form(
        slot="leak",
        name="same_day_rate",
        draw=draw_same_day,
        apply=apply_same_day,
        in_place=says(FEATURES, UNSHIFTED),
        visible=visible_same_day,
    ),
)
