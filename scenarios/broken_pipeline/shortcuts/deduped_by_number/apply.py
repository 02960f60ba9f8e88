"""Keep one row of each flight number and day when the table is written."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import upserts

from harness.model import DrawnFault, Site, Variant

OLD = "    table = table[list(TYPES)].astype(TYPES).sort_values(KEY, ignore_index=True)\n"

NEW = """\
    table = table[list(TYPES)].drop_duplicates(["date", "carrier", "flight"], keep="last")
    table = table.astype(TYPES).sort_values(KEY, ignore_index=True)
"""
RECONCILED = "    reconcile(table, ledger)\n    return table\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(upserts.INGEST, OLD, NEW)
    site.replace(upserts.INGEST, RECONCILED, "    return table\n")
    landing.anew(site, variant.business_date)
