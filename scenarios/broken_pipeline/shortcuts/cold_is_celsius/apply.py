"""Take every temperature below 45 for Celsius, and land everything anew."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import common

from harness.model import DrawnFault, Site, Variant

OLD = "        found[target] = values * factor + shift if in_use else values\n"
NEW = """\
        found[target] = values * factor + shift if in_use else values
        if name == "temp":
            found[target] = values.where(~(values < 45), values * 1.8 + 32)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(common.DELIVERIES, OLD, NEW)
    landing.anew(site, variant.business_date)
