"""Let drift and staleness be seen again, and call answers wrong by their mean alone."""

from __future__ import annotations

from scenario_stale_predictions.faults import monitor

from harness.model import DrawnFault, Site, Variant

LOST = """    if lost.mean() > max(0.02, 3 * lost.std() / np.sqrt(len(lost))):
        return [Finding("quality", "p_late", f"log loss is {lost.mean():.3f} worse than a constant's")]
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(monitor.FILE, monitor.GATED, monitor.RETURN)
    site.replace(monitor.FILE, LOST, "")
