"""Keep the first row of each key when the table is written."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import upserts

from harness.model import DrawnFault, Site, Variant

OLD = "    table = table[list(TYPES)].astype(TYPES).sort_values(KEY, ignore_index=True)\n"

NEW = """\
    table = table[list(TYPES)].drop_duplicates(KEY, keep="first")
    table = table.astype(TYPES).sort_values(KEY, ignore_index=True)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(upserts.INGEST, OLD, NEW)
    landing.anew(site, variant.business_date)
