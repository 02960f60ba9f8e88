"""Ask for a quarter of the columns instead of half."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", "len(drift) > len(COLUMNS) / 2", "len(drift) > len(COLUMNS) / 4")
