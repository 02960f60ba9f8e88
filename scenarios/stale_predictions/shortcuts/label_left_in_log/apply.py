"""Name the run in answers again, and leave the label in the log."""

from __future__ import annotations

from scenario_stale_predictions.faults import lineage

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(lineage.SERVICE, lineage.UNPACKED.replace("run_id", "_"), lineage.UNPACKED)
    site.replace(lineage.SERVICE, lineage.LABELLED, lineage.ANSWER)
