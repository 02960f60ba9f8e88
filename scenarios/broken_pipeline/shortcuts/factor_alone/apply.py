"""Convert kilometres, and leave the range that was widened for them."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import units

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(units.DELIVERIES, units.KM_AS_MI, units.KM)
    landing.anew(site, variant.business_date)
