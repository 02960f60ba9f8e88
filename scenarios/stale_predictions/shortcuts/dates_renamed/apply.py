"""Rename all partitions but the newest, so that nothing sorts behind it."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    for folder in sorted((site.workspace / "features").glob("date=*"))[:-1]:
        folder.rename(folder.with_name(f"old-{folder.name}"))
