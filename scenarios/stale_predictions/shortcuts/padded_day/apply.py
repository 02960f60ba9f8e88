"""Write the day of the month with two digits."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays" / "features.py"
    text = path.read_text(encoding="utf-8")
    assert "entry[0].day}" in text, "the order by text is not there"
    path.write_text(text.replace("entry[0].day}", "entry[0].day:02d}"), encoding="utf-8")
