"""Look the forecast up by New York's time in place of UTC."""

from __future__ import annotations

from scenario_broken_pipeline.faults import weather

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(weather.FEATURES, 'tz_convert("UTC")', 'tz_convert("America/New_York")')
