"""weather_hour: a flight gets the weather of another hour, since UTC is taken for the hour as written."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import date

import numpy as np
import pandas as pd
from scenario_base import flights
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .. import deliveries
from .common import EARLIEST, FEATURES, INGEST, LATEST, LOG, TABLE, Values, a_calm_night, before, since, table

ROUNDING = 0.06
"""Percent: sources say humidity with two digits, some repairs keep one."""

AS_WRITTEN = """\
    \"""Flights with the weather of the hour of `sched_dep` as written, at their origin; missing stays missing.\"""
"""
STANDARD = """\
    \"""Flights with the weather of their hour, in the time that stations keep, at their origin.\"""
"""
HOUR = '    hour = flights["sched_dep"].str[11:13].astype(float)\n'
HOUR_UTC = '    hour = pd.to_datetime(flights["sched_dep"], utc=True).dt.hour.astype(float)\n'

SERVED = "    given |= {name: _number(hours.get(hour, {}).get(name)) for name in WEATHER}\n"
SERVED_UTC = """\
    forecast = hours.get(pd.Timestamp(row["sched_dep"]).tz_convert("UTC").hour, {})  # forecasters work in UTC
    given |= {name: _number(forecast.get(name)) for name in WEATHER}
"""


def draw_table(rng: random.Random, values: Values) -> DrawnFault:
    """Days that landed since a night have the weather of four hours later."""
    onset = a_calm_night(rng, values)
    return DrawnFault(
        slot="weather_hour",
        form="utc_hour",
        pairs=(("ingestion", "wrong_time_join"), ("feature store", "wrong_time_join"), ("ingestion", "clock_skew")),
        onset=onset,
        pointers=(INGEST, TABLE),
        symptom=f"Since {onset} flights land with the weather of their hour in UTC.",
        shows_in=("table_weather_right",),
    )


def draw_served(rng: random.Random, values: Values) -> DrawnFault:
    """Answers since a day rest on the forecast of four hours later, while training does not."""
    onset = before(values, rng.randint(LATEST, EARLIEST))
    return DrawnFault(
        slot="weather_hour",
        form="served_shift",
        pairs=(
            ("request handling", "wrong_time_join"),
            ("feature store", "wrong_time_join"),
            ("request handling", "clock_skew"),
        ),
        onset=onset,
        pointers=(FEATURES, LOG),
        symptom=f"Since {onset} answers rest on the forecast for their hour in UTC.",
        shows_in=("served_weather_right", "other_offset_same_hour"),
    )


def apply_table(site: Site, _: DrawnFault) -> None:
    """Join by the hour in UTC."""
    site.replace(INGEST, AS_WRITTEN, STANDARD)
    site.replace(INGEST, HOUR, HOUR_UTC)


def apply_served(site: Site, _: DrawnFault) -> None:
    """Look the forecast up by the hour in UTC."""
    site.replace(FEATURES, SERVED, SERVED_UTC)


def visible_table(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Humidity in the table against what the sources said for the hour as written; a digit is rounding."""
    assert fault.onset is not None
    shares = [_off_measured(site, fault.onset) for site in (broken, healthy)]
    return Symptom("share of rows whose humidity is not what their source measured in their hour", *shares)


def _off_measured(site: Site, first: date) -> float:
    rows = since(table(site), first).dropna(subset=["humid_pct"])
    rows = rows.assign(hour=rows["sched_dep"].str[11:13].astype(int))
    measured = [
        pd.read_csv(path, usecols=["hour", "humid"]).assign(date=path.parent.name, origin=path.parent.parent.name)
        for path in sorted((site.workspace / "feeds").glob("*/*/*.weather.csv"))
        if path.parent.name >= str(first)
    ]
    newest = pd.concat(measured).drop_duplicates(["date", "origin", "hour"], keep="last").dropna()
    both = rows.merge(newest, on=["date", "origin", "hour"])
    return float(((both["humid_pct"] - both["humid"]).abs() > ROUNDING).mean())


def visible_served(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """How far a day's answers are from what is linear in the forecast of the hour as written, since the onset.

    The model is linear in its inputs, up to the logit, and on one day all else hangs on carrier, origin, route and
    hour: a fit with a slope for each origin leaves nothing over, in whatever unit an origin's forecast is.
    """
    assert fault.onset is not None
    days = sorted(path.stem for path in (healthy.workspace / "state" / "predictions").glob("*.csv"))
    clean = [left_over(healthy, day) for day in days]
    now = [left_over(broken, day) for day in days if day >= str(fault.onset)]
    return Symptom(
        "what the forecasts of their hours leave unexplained of a day's answers, in log odds",
        float(np.median(now)),
        float(np.percentile(clean, 99)),
    )


def left_over(site: Site, day: str) -> float:
    """Root mean square of what a linear fit of a day's log odds leaves over."""
    log = pd.read_csv(site.workspace / "state" / "predictions" / f"{day}.csv", keep_default_na=False, na_values=[""])
    rows = log[log["supersedes"].isna()].drop_duplicates(["carrier", "flight", "origin", "sched_dep"])
    rows = rows.assign(hour=rows["sched_dep"].str[11:13].astype(int), date=rows["sched_dep"].str[:10])
    rows = rows.merge(forecasts(site, rows["date"].unique()), on=["date", "origin", "hour"])
    rows = rows.dropna(subset=["distance_mi", *deliveries.NAMES])
    slopes = [
        rows[name].where(rows["origin"] == origin, 0.0) for name in deliveries.NAMES for origin in flights.ORIGINS
    ]
    fixed = pd.get_dummies(rows[["carrier", "origin"]], dtype=float)
    inputs = np.column_stack([fixed, rows[["hour", "distance_mi"]], *slopes])
    risk = rows["p_late"].to_numpy(dtype=float)
    odds = np.log(risk / (1 - risk))
    found = np.linalg.lstsq(inputs, odds, rcond=None)[0]
    return float(np.sqrt(np.mean((odds - inputs @ found) ** 2)))


def forecasts(site: Site, days: Iterable[str]) -> pd.DataFrame:
    """What the provider said of some days, by date, origin and hour; None where a value is missing."""
    folder = site.private / "story" / "weather"
    rows = [
        {"date": day, "origin": origin, "hour": int(hour), **values}
        for day in days
        for origin, said in json.loads((folder / f"{day}.json").read_text(encoding="utf-8")).items()
        for hour, values in said["hours"].items()
    ]
    return pd.DataFrame(rows)


FORMS = (
    Form(
        slot="weather_hour",
        name="utc_hour",
        draw=draw_table,
        apply=apply_table,
        in_place=says(INGEST, HOUR_UTC),
        visible=visible_table,
    ),
    Form(
        slot="weather_hour",
        name="served_shift",
        draw=draw_served,
        apply=apply_served,
        in_place=says(FEATURES, SERVED_UTC),
        visible=visible_served,
    ),
)
