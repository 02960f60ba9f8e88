"""Mark a missing temperature with -1 in place of the median."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import nulls

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(nulls.DELIVERIES, '{"temp_f": frame["temp_f"].median()}', '{"temp_f": -1.0}')
    landing.anew(site, variant.business_date)
