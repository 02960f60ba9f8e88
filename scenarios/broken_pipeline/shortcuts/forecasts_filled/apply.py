"""Stop filling what lands, and fill what the forecast lacks, so that answers are complete."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import common, nulls

from harness.model import DrawnFault, Site, Variant

FORECAST = '    return canonical(hours, answer["units"]).to_dict("index")\n'
FILLED = """\
    hours = canonical(hours, answer["units"])
    return hours.fillna(hours.mean()).to_dict("index")
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    if fault.form == "humid_zero":
        site.replace(nulls.DELIVERIES, nulls.PARTS_DRY, nulls.PARTS)
    else:
        site.replace(nulls.DELIVERIES, nulls.SMOOTH, nulls.NAN)
        site.replace(nulls.DELIVERIES, nulls.READ_SMOOTH, nulls.READ)
    site.replace(common.FEATURES, FORECAST, FILLED)
    landing.anew(site, variant.business_date)
