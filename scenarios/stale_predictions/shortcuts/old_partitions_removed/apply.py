"""Remove all partitions but the newest."""

from __future__ import annotations

import shutil

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    for folder in sorted((site.workspace / "features").glob("date=*"))[:-1]:
        shutil.rmtree(folder)
