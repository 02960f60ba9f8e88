"""validation: a refused delivery lands all the same, or holds the others up."""

from __future__ import annotations

import random
from datetime import date

import pandas as pd
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import CONTRACT, INGEST, REPORTS, TABLE, Values, delivered, records, table

# --- errors_swallowed -------------------------------------------------------------------------------------------------

IMPORTS = "from delays.deliveries import COLUMNS, Delivery, Refused\n"
IMPORTS_LOG = "from delays.config import log\nfrom delays.deliveries import COLUMNS, Delivery\n"
RAISES = '    """Raises Refused with every rule that a delivery breaks."""\n'
WARNS = (
    '    """Say every rule that a delivery breaks. It lands: an odd value is better than a day without flights."""\n'
)
REFUSED = '        raise Refused("; ".join(broken))\n'
LOGGED = '        log("odd_delivery", delivery=delivery.number, broken=broken)\n'


def since_the_bad_days(values: Values) -> date:
    """The night that finds the first of three bad days, of which one was never mended."""
    return date.fromisoformat(values["bad"]["days"][1])


def draw_swallowed(_: random.Random, values: Values) -> DrawnFault:
    """What breaks the rules for values lands, and neither record nor alert says so."""
    bad = values["bad"]
    return DrawnFault(
        slot="validation",
        form="errors_swallowed",
        pairs=(("ingestion", "error_swallowed"),),
        onset=since_the_bad_days(values),
        pointers=(CONTRACT, f"feeds/{bad['source']}/*", TABLE),
        symptom=f"The days {', '.join(bad['days'])} of {bad['source']} broke the published rules and landed.",
        shows_in=("poisoned_source_quarantined", "quarantine_recovers"),
        also_breaks=("null_burst_quarantined",),
    )


def apply_swallowed(site: Site, _: DrawnFault) -> None:
    """Log instead of refusing."""
    site.replace(CONTRACT, IMPORTS, IMPORTS_LOG)
    site.replace(CONTRACT, RAISES, WARNS)
    site.replace(CONTRACT, REFUSED, LOGGED)


def visible_swallowed(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Deliveries whose values broke the rules and that no record and no alert names."""
    lost = records(healthy) - records(broken)
    return Symptom("source-days whose values break the rules and that no record names", float(len(lost)), 0.0)


# --- one_stops_all ----------------------------------------------------------------------------------------------------

EACH = '"""Lands deliveries in the canonical table: each source and day for itself, the newest row of each key."""\n'
WHOLE = '"""Lands deliveries in the canonical table: whole days, the newest row of each key."""\n'
IF_LANDED = "    if landed:\n"
WHOLE_DAYS = """\
    # Rates compare airports, so a day counts once all of its sources are in.
    waiting = {name.partition("/")[2] for name, found in landed.items() if not found}
    for name in [name for name in landed if name.partition("/")[2] in waiting]:
        del landed[name], ledger[name]
"""


def draw_stops(_: random.Random, values: Values) -> DrawnFault:
    """The other sources' days wait for the bad one's."""
    bad = values["bad"]
    return DrawnFault(
        slot="validation",
        form="one_stops_all",
        pairs=(("ingestion", "source_coupling"), ("ingestion", "wrong_scope"), ("ingestion", "truncated_rows")),
        onset=since_the_bad_days(values),
        pointers=(INGEST, TABLE, REPORTS, "quarantine/*"),
        symptom=f"While {bad['source']} is refused for a day no other source lands; {bad['unmended']} never did.",
        shows_in=("other_sources_land", "quarantine_recovers"),
    )


def apply_stops(site: Site, _: DrawnFault) -> None:
    """Land whole days."""
    site.replace(INGEST, EACH, WHOLE)
    site.replace(INGEST, IF_LANDED, WHOLE_DAYS + IF_LANDED)


def visible_stops(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Source-days that broke no rule and are not in the table."""
    assert fault.onset is not None
    counts = [
        float(len(_source_days(delivered(site, fault.onset)) - _source_days(table(site)) - records(site)))
        for site in (broken, healthy)
    ]
    return Symptom(f"source-days since {fault.onset} that broke no rule and are not in the table", *counts)


def _source_days(rows: pd.DataFrame) -> set[tuple[str, str]]:
    return set(rows[["origin", "date"]].drop_duplicates().itertuples(index=False, name=None))


FORMS = (
    Form(
        slot="validation",
        name="errors_swallowed",
        draw=draw_swallowed,
        apply=apply_swallowed,
        in_place=says(CONTRACT, LOGGED),
        visible=visible_swallowed,
    ),
    Form(
        slot="validation",
        name="one_stops_all",
        draw=draw_stops,
        apply=apply_stops,
        in_place=says(INGEST, WHOLE_DAYS),
        visible=visible_stops,
    ),
)
