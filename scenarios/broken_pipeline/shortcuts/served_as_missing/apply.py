"""Train on the departure delay as before, and serve it as missing."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    old = '_number(known.delays.get((row["origin"], row["dest"])))'
    site.replace("delays/features.py", old, "None  # nobody knows it yet")
