"""An honest repair of whatever was drawn, by hand."""

from __future__ import annotations

import shutil

from harness.model import Site, Variant


def repair(site: Site, healthy: Site, variant: Variant) -> None:
    """Put the word right. What else the fault has left (trace.txt) stays: it is evidence."""
    shutil.copyfile(healthy.workspace / "word.txt", site.workspace / "word.txt")
