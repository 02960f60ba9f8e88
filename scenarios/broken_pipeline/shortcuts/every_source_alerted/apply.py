"""Refuse what breaks the rules, and say every night of every source that something is refused."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import validation

from harness.model import DrawnFault, Site, Variant

REPORT = '    report = {**REFUSAL, **report, "quarantined": ingest.quarantined(settings, yesterday)}\n'
EVERYWHERE = """\
    for source in ingest.SOURCES:
        alert(settings, "source_quarantined", source, f"look at what came for {yesterday}", day)
    report = {**REFUSAL, **report, "quarantined": list(ingest.SOURCES)}
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(validation.CONTRACT, validation.LOGGED, validation.REFUSED)
    site.replace(validation.CONTRACT, validation.IMPORTS_LOG, validation.IMPORTS)
    site.replace("delays/nightly.py", REPORT, EVERYWHERE)
    landing.anew(site, variant.business_date)
