"""Serve with one worker, so that all of them follow the alias."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("config.toml", "workers = 2\n", "workers = 1\n")
