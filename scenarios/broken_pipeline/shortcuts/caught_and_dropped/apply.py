"""Let each source land for itself, and drop what breaks the rules without a word."""

from __future__ import annotations

from scenario_broken_pipeline.faults import validation

from harness.model import DrawnFault, Site, Variant

RECORDED = "    quarantine(settings, place, refused, max((each.number for each in found), default=0), day)\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(validation.INGEST, validation.WHOLE_DAYS, "")
    site.replace(validation.INGEST, RECORDED, "")
