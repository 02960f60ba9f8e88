"""Leave out hours that lack a value, so that nothing needs to be filled."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import nulls

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    if fault.form == "humid_zero":
        site.replace(nulls.DELIVERIES, ".fillna(dry)", ".dropna(subset=dry, errors='ignore')")
        site.replace(nulls.DELIVERIES, '    dry = {"humid_pct": 0.0}', '    dry = ["humid_pct"]')
    else:
        site.replace(
            nulls.DELIVERIES, 'frame.fillna({"temp_f": frame["temp_f"].median()})', 'frame.dropna(subset=["temp_f"])'
        )
    landing.anew(site, variant.business_date)
