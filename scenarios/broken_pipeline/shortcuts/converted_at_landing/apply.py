"""Convert what lands by its manifest, and leave forecasts as they are."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import common

from harness.model import DrawnFault, Site, Variant

PARTS = "_read(place, name, manifest[name]).assign(**known)"
CONVERTED = "converted(_read(place, name, manifest[name]), manifest[name]['units']).assign(**known)"
HELPER = """\
def converted(frame: pd.DataFrame, units: dict[str, str]) -> pd.DataFrame:
    if units.get("temp") == "C":
        frame["temp_f"] = frame["temp_f"] * 1.8 + 32
    return frame


def _read("""
WIND = """\
def converted(frame: pd.DataFrame, units: dict[str, str]) -> pd.DataFrame:
    if units.get("wind") == "m/s":
        frame["wind_mph"] = frame["wind_mph"] * 2.23694 / 1.15078
    return frame


def _read("""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    helper = HELPER if fault.form == "temp_unconverted" else WIND
    site.replace(common.DELIVERIES, "def _read(", helper)
    site.replace(common.DELIVERIES, PARTS, CONVERTED)
    landing.anew(site, variant.business_date)
