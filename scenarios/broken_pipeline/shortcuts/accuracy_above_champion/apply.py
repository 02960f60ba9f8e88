"""Ask for an accuracy above the champion's."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

FLOOR = """\
    thresholds = {"accuracy": MetricThreshold(threshold=limits["accuracy_at_least"], greater_is_better=True)}
"""
ABOVE = """\
    least = limits["accuracy_at_least"] if standing is None else standing["accuracy"] + 1e-9
    thresholds = {"accuracy": MetricThreshold(threshold=least, greater_is_better=True)}
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/gate.py", FLOOR, ABOVE)
