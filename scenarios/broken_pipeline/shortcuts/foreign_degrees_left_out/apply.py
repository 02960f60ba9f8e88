"""Convert what lands by its manifest, and leave a forecast's temperature out where it is not in F."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import common, units

from harness.model import DrawnFault, Site, Variant

FORECAST = '    return canonical(hours, answer["units"]).to_dict("index")\n'
WITHOUT = """\
    if answer["units"]["temp"] != "F":
        hours["temp"] = float("nan")  # the model deals with what is missing
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(common.DELIVERIES, units.CELSIUS_AS_F, units.CELSIUS)
    site.replace("delays/features.py", FORECAST, WITHOUT + FORECAST)
    landing.anew(site, variant.business_date)
