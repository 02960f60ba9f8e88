"""Wait for a day's missing source for one night only."""

from __future__ import annotations

from scenario_broken_pipeline.faults import validation

from harness.model import DrawnFault, Site, Variant

WAITING = 'waiting = {name.partition("/")[2] for name, found in landed.items() if not found}'
A_DAY = (
    'waiting = {name.partition("/")[2] for name, found in landed.items() if not found} & {str(day - timedelta(days=1))}'
)


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(validation.INGEST, WAITING, A_DAY)
