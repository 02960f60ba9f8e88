"""Land every row from now on, and leave the table as it is."""

from __future__ import annotations

from scenario_broken_pipeline.faults import rows

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    if fault.form == "cap_280":
        site.replace(rows.DELIVERIES, rows.CAP, "")
        site.replace(rows.DELIVERIES, rows.COUNTED_CUT, rows.COUNTED)
    else:
        site.replace(rows.INGEST, rows.FIRST_OF_THEM, rows.ALL_OF_THEM)
        site.replace(rows.INGEST, rows.FOUND_ONE, rows.FOUND)
