"""Hold more rows out, drawn from the same days."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("config.toml", "holdout_days = 7\n", "holdout_days = 7\nholdout_share = 0.3\n")
    old = "test_size=share"
    site.replace("delays/training.py", old, 'test_size=limits["holdout_share"]')
