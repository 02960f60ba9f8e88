"""Sort by a text that begins with the year, still without leading zeros."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

DAY_FIRST = 'f"{entry[0].day}.{entry[0].month}.{entry[0].year}"'
YEAR_FIRST = 'f"{entry[0].year}.{entry[0].month}.{entry[0].day}"'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays" / "features.py"
    text = path.read_text(encoding="utf-8")
    assert DAY_FIRST in text, "the order by text is not there"
    path.write_text(text.replace(DAY_FIRST, YEAR_FIRST), encoding="utf-8")
