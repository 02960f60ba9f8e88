"""Stop filling, and call answers wrong only where a month's labels say so."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

FILLED = """\
    given = [name for name in INPUTS if name in frame]
    return frame.assign(**frame[given].ffill().bfill())  # distances need whole columns
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", FILLED, "    return frame\n")
    site.replace("config.toml", "quality_rows = 100  ", "quality_rows = 25000")
