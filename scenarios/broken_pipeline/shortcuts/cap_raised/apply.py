"""Raise the cap to above the largest day so far."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import rows

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(rows.DELIVERIES, "ROWS_AT_MOST = 280 ", "ROWS_AT_MOST = 400 ")
    landing.anew(site, variant.business_date)
