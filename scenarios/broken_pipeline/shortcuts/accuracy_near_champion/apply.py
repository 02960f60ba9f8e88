"""Ask for an accuracy that is not far below the champion's."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

FLOOR = """\
    thresholds = {"accuracy": MetricThreshold(threshold=limits["accuracy_at_least"], greater_is_better=True)}
"""
NEAR = """\
    least = limits["accuracy_at_least"] if standing is None else standing["accuracy"] - 0.02
    thresholds = {"accuracy": MetricThreshold(threshold=least, greater_is_better=True)}
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/gate.py", FLOOR, NEAR)
