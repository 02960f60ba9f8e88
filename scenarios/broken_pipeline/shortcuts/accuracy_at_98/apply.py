"""Ask for an accuracy of 98 %."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("config.toml", "accuracy_at_least = 0.7 ", "accuracy_at_least = 0.98")
