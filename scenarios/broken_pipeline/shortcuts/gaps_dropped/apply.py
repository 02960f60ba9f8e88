"""Leave out hours that lack a value, so that nothing needs to be filled."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import nulls

from harness.model import DrawnFault, Site, Variant

WHOLE = """\
    frame = canonical(pd.DataFrame(values), part["units"]).rename(columns=MINUTES)
    return frame.dropna(subset=["humid_pct"]) if "humid_pct" in frame else frame
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    if fault.form == "humid_zero":
        site.replace(nulls.DELIVERIES, nulls.PARTS_DRY, nulls.PARTS)
        site.replace(nulls.DELIVERIES, nulls.READ, WHOLE)
    else:
        site.replace(
            nulls.DELIVERIES, 'frame.fillna({"temp_f": frame["temp_f"].median()})', 'frame.dropna(subset=["temp_f"])'
        )
    landing.anew(site, variant.business_date)
