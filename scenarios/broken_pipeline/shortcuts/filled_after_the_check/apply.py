"""Let the contract look at what was delivered, and fill afterwards."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import common, nulls

from harness.model import DrawnFault, Site, Variant

FOUND = "            found.append(delivery)\n"
FILLED = """\
            if delivery.weather is not None:
                delivery.weather.fillna({fill}, inplace=True)
            found.append(delivery)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    if fault.form == "humid_zero":
        site.replace(nulls.DELIVERIES, nulls.PARTS_DRY, nulls.PARTS)
        fill = '{"humid_pct": 0.0}'
    else:
        site.replace(nulls.DELIVERIES, nulls.SMOOTH, nulls.NAN)
        site.replace(nulls.DELIVERIES, nulls.READ_SMOOTH, nulls.READ)
        fill = '{"temp_f": delivery.weather["temp_f"].median()}'
    site.replace(common.INGEST, FOUND, FILLED.replace("{fill}", fill))
    landing.anew(site, variant.business_date)
