"""Join by the hour as written from now on, and leave the table as it is."""

from __future__ import annotations

from scenario_broken_pipeline.faults import weather

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(weather.INGEST, weather.HOUR_UTC, weather.HOUR)
    site.replace(weather.INGEST, weather.STANDARD, weather.AS_WRITTEN)
