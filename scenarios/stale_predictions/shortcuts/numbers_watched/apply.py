"""Compare a window with the snapshot again, in the columns that are numbers."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

ITSELF = "    reference = window[COLUMNS]\n"
SNAPSHOT = "    reference = read_snapshot(settings)\n"
ALL = "    drift = drifted(window, reference, COLUMNS, settings.monitor)\n"
NUMBERS = """    numbers = [name for name in COLUMNS if name not in CATEGORIES]
    drift = drifted(window, reference, numbers, settings.monitor)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", ITSELF, SNAPSHOT)
    site.replace("delays/monitor.py", ALL, NUMBERS)
