"""Convert units from now on, and leave the table as it is."""

from __future__ import annotations

from scenario_broken_pipeline.faults import units

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    if fault.form == "temp_unconverted":
        site.replace(units.DELIVERIES, units.CELSIUS_AS_F, units.CELSIUS)
    elif fault.form == "wind_as_knots":
        site.replace(units.DELIVERIES, units.WIND_WHY + units.WIND_LINE, units.WIND_LINE)
        site.replace(units.DELIVERIES, units.WIND_AS_KNOTS, units.WIND)
    else:
        site.replace(units.DELIVERIES, units.KM_AS_MI, units.KM)
        site.replace(units.CONTRACT, units.FURTHER, units.FURTHEST)
