"""Name what answers again, and let a request leave out what the model does not use."""

from __future__ import annotations

from scenario_stale_predictions.faults import lineage

from harness.model import DrawnFault, Site, Variant

FLIGHT = "    flight: Annotated[StrictInt, Field(ge=1, le=9999)]\n"
OPTIONAL = "    flight: Annotated[StrictInt, Field(ge=1, le=9999)] = 1\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(lineage.SERVICE, lineage.CONSTANT, "")
    site.replace(lineage.SERVICE, lineage.UNPACKED.replace("run_id", "_"), lineage.UNPACKED)
    site.replace(lineage.SERVICE, lineage.LABELLED, lineage.ANSWER)
    site.replace(lineage.SERVICE, lineage.LABEL_WRITTEN, lineage.WRITTEN)
    site.replace(lineage.SERVICE, FLIGHT, OPTIONAL)
