"""Keep rows by their whole key from now on, and leave the table as it is."""

from __future__ import annotations

from scenario_broken_pipeline.faults import upserts

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(upserts.INGEST, upserts.LATEST_NUMBERS, upserts.LATEST_ROWS)
    site.replace(upserts.INGEST, upserts.NUMBER_KEY, "")
