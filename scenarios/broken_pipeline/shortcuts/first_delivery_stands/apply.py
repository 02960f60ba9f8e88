"""Land a source's day once: with rows in the table it stands, whatever comes later."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import upserts

from harness.model import DrawnFault, Site, Variant

LANDED = '        if not ledger.get(name, {}).get("rows"):  # a day that landed stands\n'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(upserts.INGEST, upserts.CHANGED_DIGEST, LANDED)
    landing.anew(site, variant.business_date)
