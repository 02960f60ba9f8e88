"""Stop filling, and leave the table as it is."""

from __future__ import annotations

from scenario_broken_pipeline.faults import nulls

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    if fault.form == "humid_zero":
        site.replace(nulls.DELIVERIES, nulls.PARTS_DRY, nulls.PARTS)
    else:
        site.replace(nulls.DELIVERIES, nulls.SMOOTH, nulls.NAN)
        site.replace(nulls.DELIVERIES, nulls.READ_SMOOTH, nulls.READ)
