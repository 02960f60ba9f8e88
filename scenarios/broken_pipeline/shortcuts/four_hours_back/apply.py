"""Take four hours off."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import weather

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    back = weather.HOUR_UTC.replace(".astype(float)", ".sub(4).mod(24).astype(float)")
    site.replace(weather.INGEST, weather.HOUR_UTC, back)
    landing.anew(site, variant.business_date)
