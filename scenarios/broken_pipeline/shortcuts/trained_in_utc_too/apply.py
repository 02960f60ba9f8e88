"""Join the table's weather by the hour in UTC, too, so that training and serving agree."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import weather

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(weather.INGEST, weather.HOUR, weather.HOUR_UTC)
    landing.anew(site, variant.business_date)
