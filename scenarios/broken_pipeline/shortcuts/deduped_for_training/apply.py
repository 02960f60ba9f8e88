"""Drop rows that come twice where training reads the table."""

from __future__ import annotations

from scenario_broken_pipeline.faults import common

from harness.model import DrawnFault, Site, Variant

OLD = '    rows = table[table["arr_delay_min"].notna() & table["date"].between(str(first), str(last))]\n'
NEW = """\
    table = table.drop_duplicates(KEY, keep="last")
    rows = table[table["arr_delay_min"].notna() & table["date"].between(str(first), str(last))]
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(common.FEATURES, OLD, NEW)
