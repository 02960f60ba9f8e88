"""Refuse what breaks the rules, and say nothing of it."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import validation

from harness.model import DrawnFault, Site, Variant

ALERT = '        alert(settings, "source_quarantined", source, text, day)\n'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(validation.CONTRACT, validation.LOGGED, validation.REFUSED)
    site.replace(validation.CONTRACT, validation.IMPORTS_LOG, validation.IMPORTS)
    site.replace(validation.INGEST, ALERT, '        log("refused", source=source, text=text)\n')
    landing.anew(site, variant.business_date)
