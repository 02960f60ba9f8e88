"""rows_cut: rows that were delivered do not reach the table."""

from __future__ import annotations

import random
from datetime import date

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import DELIVERIES, INGEST, TABLE, Values, a_calm_night, delivered, keys, records, second_deliveries, table

# --- cap_280 ----------------------------------------------------------------------------------------------------------

MINUTES = 'MINUTES = {"dep_delay": '
CAP = "ROWS_AT_MOST = 280  # of a part: a full day and some; a runaway export must not fill the table\n"
COUNTED = """\
        raise Refused(f"{path.name} has {len(frame)} rows where its manifest says {part['rows']}")
"""
COUNTED_CUT = COUNTED + "    frame = frame.head(ROWS_AT_MOST)\n"


def draw_cap(rng: random.Random, values: Values) -> DrawnFault:
    """Since a night."""
    onset = a_calm_night(rng, values)
    return DrawnFault(
        slot="rows_cut",
        form="cap_280",
        values={"rows": 280},
        pairs=(("ingestion", "truncated_rows"),),
        onset=onset,
        pointers=(DELIVERIES, TABLE),
        symptom=f"Since {onset} no airport has more than 280 flights a day in the table.",
        shows_in=("every_row_lands", "large_day_lands"),
    )


def apply_cap(site: Site, _: DrawnFault) -> None:
    """Read the first 280 rows."""
    site.replace(DELIVERIES, MINUTES, CAP + MINUTES)
    site.replace(DELIVERIES, COUNTED, COUNTED_CUT)


# --- first_delivery_only ----------------------------------------------------------------------------------------------

ALL_OF_THEM = """\
    \"""The deliveries in a folder that may land, in order; what is wrong with the others is put on record.\"""
"""
FIRST_OF_THEM = """\
    \"""What of a folder may land: its first good delivery; what is wrong with those before it is put on record.\"""
"""
FOUND = "            found.append(delivery)\n"
FOUND_ONE = (
    "            found.append(delivery)\n            break  # a day that has landed stands: models were trained on it\n"
)


def draw_first(rng: random.Random, values: Values) -> DrawnFault:
    """Since a night; a day whose late rows come afterwards is the one before it or one of the two after."""
    late = {each.day for each in second_deliveries(values) if each.late_rows}
    onset = a_calm_night(rng, values, lambda day: day in late)
    return DrawnFault(
        slot="rows_cut",
        form="first_delivery_only",
        pairs=(("ingestion", "truncated_rows"), ("ingestion", "stale_selection")),
        onset=onset,
        pointers=(INGEST, TABLE),
        symptom=f"Since {onset} rows that come with a later delivery of a day do not land.",
        shows_in=("every_row_lands", "later_delivery_lands"),
    )


def apply_first(site: Site, _: DrawnFault) -> None:
    """Stop at the first good one."""
    site.replace(INGEST, ALL_OF_THEM, FIRST_OF_THEM)
    site.replace(INGEST, FOUND, FOUND_ONE)


def visible(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Flights that were delivered since the onset, in whatever delivery, and are not in the table."""
    assert fault.onset is not None
    counts = [_lacking(site, fault.onset) for site in (broken, healthy)]
    return Symptom(f"delivered flights since {fault.onset}, but refused ones, that are not in the table", *counts)


def _lacking(site: Site, first: date) -> float:
    lacking = keys(delivered(site, first)).difference(keys(table(site)))
    refused = records(site)
    return float(sum((source, day) not in refused for day, _, _, source in lacking))


FORMS = (
    Form(
        slot="rows_cut",
        name="cap_280",
        draw=draw_cap,
        apply=apply_cap,
        in_place=says(DELIVERIES, COUNTED_CUT),
        visible=visible,
    ),
    Form(
        slot="rows_cut",
        name="first_delivery_only",
        draw=draw_first,
        apply=apply_first,
        in_place=says(INGEST, FOUND_ONE),
        visible=visible,
    ),
)
