"""Count rates over four weeks, so that the own day weighs little."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/features.py", "RATE_DAYS = 14\n", "RATE_DAYS = 28\n")
