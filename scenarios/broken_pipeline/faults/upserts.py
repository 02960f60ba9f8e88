"""upserts: what comes anew stands beside what it replaces, or takes the place of another flight."""

from __future__ import annotations

import random

import pandas as pd
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import INGEST, KEY, TABLE, Values, a_calm_night, before, second_deliveries, since, table

# --- redelivery_appends -----------------------------------------------------------------------------------------------

ANEW = """\
    A source's day is landed anew, whole, when its deliveries have changed or its rows are not as many as were
    delivered. Doing it again changes nothing. Raises CountsDiffer where the table written is not what was delivered.
"""
APPENDED = """\
    A source's day is landed when its deliveries have changed. Rows are only ever added, so that what a model was
    trained on can be looked up. Raises CountsDiffer where the table lacks what was delivered.
"""
COUNTED = "    rows = counts(table)\n    landed: "
NOT_COUNTED = "    landed: "
CHANGED = '        if ledger.get(name) != {"digest": digest, "rows": rows.get(name, 0)}:\n'
CHANGED_DIGEST = '        if ledger.get(name, {}).get("digest") != digest:\n'
STANDING = """\
        standing = table[~(table["origin"] + "/" + table["date"]).isin(landed)]
        write(settings, pd.concat([standing, joined(flights, weather)]), ledger)
"""
ADDED = "        write(settings, pd.concat([table, joined(flights, weather)]), ledger)\n"
DIFFER = "        if delivered != rows.get(name, 0):\n"
LACK = "        if delivered > rows.get(name, 0):\n"
TWICE = """\
    if table.duplicated(KEY).any():
        raise CountsDiffer(f"{table.duplicated(KEY).sum()} rows of the table have the key of another one")
"""


def draw_appends(rng: random.Random, values: Values) -> DrawnFault:
    """Since a night; a day whose second delivery comes afterwards is the one before it or one of the two after."""
    replaced = {each.day for each in second_deliveries(values) if each.replaces}
    onset = a_calm_night(rng, values, lambda day: day in replaced)
    return DrawnFault(
        slot="upserts",
        form="redelivery_appends",
        pairs=(("ingestion", "duplicated_rows"),),
        onset=onset,
        pointers=(INGEST, TABLE),
        symptom=f"Days that are delivered a second time since {onset} are in the table twice.",
        shows_in=("counts_reconcile", "redelivery_upserts"),
    )


def apply_appends(site: Site, _: DrawnFault) -> None:
    """Add rows, and count no further than that nothing is lacking."""
    for old, new in (
        (ANEW, APPENDED),
        (COUNTED, NOT_COUNTED),
        (CHANGED, CHANGED_DIGEST),
        (STANDING, ADDED),
        (DIFFER, LACK),
        (TWICE, ""),
    ):
        site.replace(INGEST, old, new)


def visible_appends(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Rows of the table whose key another row has."""
    counts = [float(table(site).duplicated(KEY).sum()) for site in (broken, healthy)]
    return Symptom("rows of the table with the key of another one", *counts)


# --- narrow_key -------------------------------------------------------------------------------------------------------

HOUR_KEY = 'HOUR = ["date", "origin", "hour"]\n'
NUMBER_KEY = 'NUMBER = ["date", "carrier", "flight"]  # a carrier gives a number once a day\n'
LATEST_ROWS = "        flights = latest([each.flights for each in parts if each.flights is not None], KEY)\n"
LATEST_NUMBERS = """\
        flights = latest([each.flights for each in parts if each.flights is not None], NUMBER)
        ledger |= {name: {**ledger[name], "rows": left} for name, left in counts(flights).items()}
"""
REPEATS = (16, 9, 5)
"""Days before the business date on which a number leaves two airports whatever the data has; see world.REPEATS."""


def draw_narrow(_: random.Random, values: Values) -> DrawnFault:
    """Since the night of a day with such a number, which no source delivers anew: that would bring its row back."""
    again = {each.day for each in second_deliveries(values)}
    days = [before(values, days) for days in REPEATS]
    onset = next((day for day in days if day not in again), days[0])
    return DrawnFault(
        slot="upserts",
        form="narrow_key",
        pairs=(("ingestion", "truncated_rows"), ("ingestion", "duplicated_rows")),
        onset=onset,
        pointers=(INGEST, TABLE),
        symptom=f"Since {onset} one of two flights with one number that leave two airports on a day is lost.",
        shows_in=("counts_reconcile", "redelivery_upserts", "narrow_repeats_survive"),
    )


def apply_narrow(site: Site, _: DrawnFault) -> None:
    """Keep the newest row of each number, and count what is left."""
    site.replace(INGEST, HOUR_KEY, HOUR_KEY + NUMBER_KEY)
    site.replace(INGEST, LATEST_ROWS, LATEST_NUMBERS)


def visible_narrow(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Share of numbers that leave two airports, before the onset and since."""
    assert fault.onset is not None
    lost = _repeats(since(table(healthy), fault.onset)) - _repeats(since(table(broken), fault.onset))
    return Symptom("numbers that leave two airports on a day and have one row", float(lost), 0.0)


def _repeats(rows: pd.DataFrame) -> int:
    return int((rows.drop_duplicates(KEY).groupby(KEY[:3]).size() > 1).sum())


FORMS = (
    Form(
        slot="upserts",
        name="redelivery_appends",
        draw=draw_appends,
        apply=apply_appends,
        in_place=says(INGEST, ADDED),
        visible=visible_appends,
    ),
    Form(
        slot="upserts",
        name="narrow_key",
        draw=draw_narrow,
        apply=apply_narrow,
        in_place=says(INGEST, LATEST_NUMBERS),
        visible=visible_narrow,
    ),
)
