"""Leave the bad source out of the pipeline."""

from __future__ import annotations

from scenario_broken_pipeline.faults import validation

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    source = variant.values["bad"]["source"]
    here = "for source in SOURCES for of_day in days]"
    site.replace(validation.INGEST, here, f'for source in SOURCES if source != "{source}" for of_day in days]')
