"""Cap the flights of each hour in place of those of a day."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import rows

from harness.model import DrawnFault, Site, Variant

CUT = "    frame = frame.head(ROWS_AT_MOST)\n"
BY_HOUR = """\
    if name == "flights":
        frame = frame.groupby(frame["sched_dep"].str[:13]).head(40)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(rows.DELIVERIES, CUT, BY_HOUR)
    landing.anew(site, variant.business_date)
