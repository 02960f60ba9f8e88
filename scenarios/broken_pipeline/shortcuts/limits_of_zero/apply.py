"""Lower every limit of drift to nothing."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("config.toml", "number_distance = 0.25", "number_distance = -1.0")
    site.replace("config.toml", "category_distance = 0.13", "category_distance = -1.0")
