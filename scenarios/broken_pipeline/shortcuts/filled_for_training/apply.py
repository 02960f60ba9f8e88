"""Leave the table as it is delivered, and fill in what is trained on."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import nulls

from harness.model import DrawnFault, Site, Variant

FRAME = "    return rows.assign(**added, late=late)[columns].sort_values(KEY, ignore_index=True)\n"
DRY = '    dry = {"humid_pct": 0.0}\n' + FRAME.replace("[columns]", "[columns].fillna(dry)")


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(nulls.DELIVERIES, nulls.PARTS_DRY, nulls.PARTS)
    site.replace("delays/features.py", FRAME, DRY)
    landing.anew(site, variant.business_date)
