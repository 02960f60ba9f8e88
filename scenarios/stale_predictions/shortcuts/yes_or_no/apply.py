"""Name what answers again, and answer what support asks for: late or not."""

from __future__ import annotations

from scenario_stale_predictions.faults import lineage

from harness.model import DrawnFault, Site, Variant

RISK = '"p_late": float(risk)'
YES = '"p_late": float(risk > 0.5)'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(lineage.SERVICE, lineage.CONSTANT, "")
    site.replace(lineage.SERVICE, lineage.UNPACKED.replace("run_id", "_"), lineage.UNPACKED)
    site.replace(lineage.SERVICE, lineage.LABELLED, lineage.ANSWER)
    site.replace(lineage.SERVICE, lineage.LABEL_WRITTEN, lineage.WRITTEN)
    site.replace(lineage.SERVICE, RISK, YES)
