"""nulls: a missing value is given one at landing, before the contract counts what is missing."""

from __future__ import annotations

import random

import pandas as pd
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import DELIVERIES, TABLE, Values, a_calm_night, gaps, since, table

PARTS = """\
    parts = {name: _read(place, name, manifest[name]).assign(**known) for name in COLUMNS if name in manifest}
"""
PARTS_DRY = """\
    dry = {"humid_pct": 0.0}  # where a hygrometer has nothing to say
    parts = {
        name: _read(place, name, manifest[name]).fillna(dry).assign(**known) for name in COLUMNS if name in manifest
    }
"""

NAN = '    """A part of a delivery in canonical units: numbers as doubles, NaN where a value is missing."""\n'
SMOOTH = '    """A part of a delivery in canonical units: numbers as doubles, short gaps of a thermometer closed."""\n'
READ = '    return canonical(pd.DataFrame(values), part["units"]).rename(columns=MINUTES)\n'
READ_SMOOTH = """\
    frame = canonical(pd.DataFrame(values), part["units"]).rename(columns=MINUTES)
    return frame.fillna({"temp_f": frame["temp_f"].median()}) if "temp_f" in frame else frame
"""


def draw(form: str, column: str, what: str, rng: random.Random, values: Values) -> DrawnFault:
    """Since a night; a station fails on the day that it lands or on one of the next two."""
    failing = {day for _, day in gaps(values)}
    onset = a_calm_night(rng, values, lambda day: day in failing)
    return DrawnFault(
        slot="nulls",
        form=form,
        values={"column": column},
        pairs=(("ingestion", "null_or_sentinel"), ("feature store", "null_or_sentinel")),
        onset=onset,
        pointers=(DELIVERIES, TABLE),
        symptom=f"Since {onset} {what}.",
        shows_in=("missing_stays_missing", "null_burst_quarantined"),
    )


def draw_humid(rng: random.Random, values: Values) -> DrawnFault:
    """Humidity that is missing is 0 %."""
    return draw("humid_zero", "humid_pct", "a missing humidity is 0 %", rng, values)


def draw_temp(rng: random.Random, values: Values) -> DrawnFault:
    """A temperature that is missing is the delivery's median."""
    return draw("temp_median", "temp_f", "a missing temperature is the median of its day", rng, values)


def apply_humid(site: Site, _: DrawnFault) -> None:
    """Fill what was read."""
    site.replace(DELIVERIES, PARTS, PARTS_DRY)


def apply_temp(site: Site, _: DrawnFault) -> None:
    """Fill before it is checked, where a file is read."""
    site.replace(DELIVERIES, NAN, SMOOTH)
    site.replace(DELIVERIES, READ, READ_SMOOTH)


def visible(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Rows since the onset in which only one of two values of one sensor is missing."""
    assert fault.onset is not None
    counts = [_lonely(since(table(site), fault.onset)) for site in (broken, healthy)]
    return Symptom("rows that have one of temperature and humidity and lack the other, or 0 % humidity", *counts)


def _lonely(rows: pd.DataFrame) -> float:
    return float(((rows["temp_f"].isna() != rows["humid_pct"].isna()) | (rows["humid_pct"] == 0)).sum())


FORMS = (
    Form(
        slot="nulls",
        name="humid_zero",
        draw=draw_humid,
        apply=apply_humid,
        in_place=says(DELIVERIES, PARTS_DRY),
        visible=visible,
    ),
    Form(
        slot="nulls",
        name="temp_median",
        draw=draw_temp,
        apply=apply_temp,
        in_place=says(DELIVERIES, READ_SMOOTH),
        visible=visible,
    ),
)
