"""Let drift and staleness be seen again, and give features and models a day more."""

from __future__ import annotations

from scenario_stale_predictions.faults import monitor

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(monitor.FILE, monitor.GATED, monitor.RETURN)
    site.replace(monitor.FILE, "features <= VALID_DAYS", "features <= VALID_DAYS + 1")
    site.replace(monitor.FILE, "trained <= model_days", "trained <= model_days + 1")
