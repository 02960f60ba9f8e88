"""units: a unit that a source changed to two weeks ago is taken for another one, in deliveries and forecasts alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from functools import partial

import pandas as pd
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import CONTRACT, DELIVERIES, LOG, TABLE, Values, since, table

CELSIUS = '"temp": ("temp_f", {"F": (1.0, 0.0), "C": (1.8, 32.0)}),\n'
CELSIUS_AS_F = """\
# C is what the new stations' software calls it; the sensors are the same.
    "temp": ("temp_f", {"F": (1.0, 0.0), "C": (1.0, 0.0)}),
"""
WIND = '"m/s": (3.6 / KM_PER_MI, 0.0), '
WIND_AS_KNOTS = '"m/s": (1.852 / KM_PER_MI, 0.0), '
WIND_LINE = '    "wind": ("wind_mph", '
WIND_WHY = "    # Airports measure wind in knots, whatever the header calls it.\n"
KM = '    "distance": ("distance_mi", {"mi": (1.0, 0.0), "km": (1 / KM_PER_MI, 0.0)}),\n'
KM_AS_MI = """\
    # Distances come from one route table, which is in miles.
    "distance": ("distance_mi", {"mi": (1.0, 0.0), "km": (1.0, 0.0)}),
"""
FURTHEST = '"distance_mi": _within(50, 6000, nullable=False),\n'
FURTHER = '"distance_mi": _within(50, 8500, nullable=False),  # Honolulu was refused\n'

COLUMN = {"temp": "temp_f", "wind": "wind_mph", "distance": "distance_mi"}
ALSO = {"distance": ("poisoned_source_quarantined", "quarantine_recovers")}
"""Checks that fail by nature with a fault: a range that lets kilometres pass lets more pass than the brief allows."""

WINDOW_DAYS = 14


def draw(name: str, form: str, _: random.Random, values: Values) -> DrawnFault:
    """The unit changes on the story's day; the code that gets it wrong is there since then."""
    change = values["unit_changes"][name]
    return DrawnFault(
        slot="units",
        form=form,
        values={"column": COLUMN[name], "source": change["source"], "unit": change["unit"]},
        pairs=(("ingestion", "unit_changed"), ("feature store", "unit_changed")),
        onset=date.fromisoformat(change["from"]),
        pointers=(DELIVERIES, f"feeds/{change['source']}/*", TABLE, LOG),
        symptom=f"Since {change['from']} the {name} of {change['source']} is in {change['unit']}, and taken as if not.",
        shows_in=("units_converted", "paired_units_agree"),
        also_breaks=("served_features_drift", *ALSO.get(name, ())),
    )


def apply_temp(site: Site, _: DrawnFault) -> None:
    """Take C for F."""
    site.replace(DELIVERIES, CELSIUS, CELSIUS_AS_F)


def apply_wind(site: Site, _: DrawnFault) -> None:
    """Take m/s for knots."""
    site.replace(DELIVERIES, WIND, WIND_AS_KNOTS)
    site.replace(DELIVERIES, WIND_LINE, WIND_WHY + WIND_LINE)


def apply_distance(site: Site, _: DrawnFault) -> None:
    """Take km for miles, and let the furthest route pass the published range."""
    site.replace(DELIVERIES, KM, KM_AS_MI)
    site.replace(CONTRACT, FURTHEST, FURTHER)


def visible(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """How far a source's values since the onset are from what they were, beside the other sources'."""
    column, source, onset = fault.values["column"], fault.values["source"], fault.onset
    assert onset is not None
    off = _off(column)
    rows, right = table(broken), table(healthy)
    days = len(since(right, onset)["date"].unique())
    clean = [off(right, place, first, days) for place in right["origin"].unique() for first in _firsts(right, days)]
    return Symptom(
        f"how far {column} of {source} has moved since {onset}, beside the other airports",
        off(rows, source, str(onset), days),
        float(pd.Series(clean).quantile(0.99)),
    )


Off = Callable[[pd.DataFrame, str, str, int], float]


def _firsts(rows: pd.DataFrame, days: int) -> list[str]:
    """The days from which windows of the same length can be compared with as many days before them."""
    known = sorted(rows["date"].unique())
    return known[days : len(known) - days + 1]


def _off(column: str) -> Off:
    return partial(_of_routes) if column == "distance_mi" else partial(_of_weather, column)


def _of_weather(column: str, rows: pd.DataFrame, source: str, first: str, days: int) -> float:
    """Change of the ratio of a source's mean to the others' from the days before to the days since, either way."""
    daily = rows.groupby(["date", "origin"])[column].mean().unstack()
    ratio = daily[source] / daily.drop(columns=source).mean(axis=1)
    then, now = ratio[ratio.index < first].tail(days).median(), ratio[ratio.index >= first].head(days).median()
    return float(abs(now / then - 1))


def _of_routes(rows: pd.DataFrame, source: str, first: str, days: int) -> float:
    """Largest change of a route's usual distance from the days before to the days since."""
    own = rows[rows["origin"] == source]
    last = sorted(rows.loc[rows["date"] >= first, "date"].unique())[:days][-1]
    then = own[own["date"] < first].groupby("dest")["distance_mi"].median()
    now = own[own["date"].between(first, last)].groupby("dest")["distance_mi"].median()
    return float((now / then - 1).abs().max())


FORMS = (
    Form(
        slot="units",
        name="temp_unconverted",
        draw=partial(draw, "temp", "temp_unconverted"),
        apply=apply_temp,
        in_place=says(DELIVERIES, CELSIUS_AS_F),
        visible=visible,
    ),
    Form(
        slot="units",
        name="wind_as_knots",
        draw=partial(draw, "wind", "wind_as_knots"),
        apply=apply_wind,
        in_place=says(DELIVERIES, WIND_AS_KNOTS),
        visible=visible,
    ),
    Form(
        slot="units",
        name="distance_unconverted",
        draw=partial(draw, "distance", "distance_unconverted"),
        apply=apply_distance,
        in_place=says(DELIVERIES, KM_AS_MI),
        visible=visible,
    ),
)
