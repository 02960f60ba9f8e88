"""Refuse a feed that is not there, and an empty one of arrivals alone."""

from __future__ import annotations

from scenario_stale_predictions.faults import nightly

from harness.model import DrawnFault, Site, Variant

EMPTY_ARRIVALS = """    if frame.empty and source == "arrivals":
        raise DataRefused(source, f"feeds/{name} has no rows")
    return frame
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(nightly.FEEDS, nightly.NOTHING, nightly.READS)
    site.replace(nightly.FEEDS, nightly.ANY, EMPTY_ARRIVALS)
    site.replace(nightly.FILE, nightly.NOTHING_NEW + nightly.NEW, nightly.NEW)
