"""Switch the answer cache off."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    old = "        new = [key for key, answer in known.items() if answer is None]\n"
    site.replace("delays/service.py", old, "        new = list(known)\n")
