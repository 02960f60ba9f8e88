"""Train on the days since the unit changed, so that the model sees one unit."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("config.toml", "train_days = 60\n", "train_days = 7\n")
