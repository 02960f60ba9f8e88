"""Lower the margin until something is promoted, and leave what is compared."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

NEEDED = '        needed = max(limits["margin"], limits["standard_errors"] * error)\n'
THRESHOLD = '        thresholds["log_loss"] = MetricThreshold(min_absolute_change=needed, greater_is_better=False)\n'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/gate.py", NEEDED, "        needed = 0.0\n")
    site.replace("delays/gate.py", THRESHOLD, "")
