"""Sort the versions as numbers and go on giving the alias to the newest that passed."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    old = "newest = max(str(entry.version) for entry in entries)"
    site.replace("delays/registry.py", old, "newest = str(max(int(entry.version) for entry in entries))")
