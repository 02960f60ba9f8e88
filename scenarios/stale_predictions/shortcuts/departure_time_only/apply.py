"""Put the time of the departure into the key."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/service.py", "row.dest, distance))", "row.dest, row.sched_dep[11:], distance))")
