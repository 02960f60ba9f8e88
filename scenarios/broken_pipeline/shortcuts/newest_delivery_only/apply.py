"""Land the newest good delivery of a day in place of the first."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import rows

from harness.model import DrawnFault, Site, Variant

RETURNED = (
    "    quarantine(settings, place, refused, max((each.number for each in found), default=0), day)\n    return found\n"
)
NEWEST = RETURNED.replace("return found", "return found[-1:]")


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(rows.INGEST, rows.FOUND_ONE, rows.FOUND)
    site.replace(rows.INGEST, RETURNED, NEWEST)
    landing.anew(site, variant.business_date)
