"""Repair the gate for --challenger, and hold what the night trained itself."""

from __future__ import annotations

from scenario_stale_predictions.faults import gate

from harness.model import DrawnFault, Site, Variant

PROMOTE = "    if decision.promote:\n"
PROMOTE_OURS = "    if decision.promote and challenger:\n"
SAID = '    said = "promoted" if decision.promote else "held"\n'
SAID_OURS = '    said = "promoted" if decision.promote and challenger else "held"\n'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(gate.FILE, gate.TURNED, gate.GAINS)
    site.replace("delays/nightly.py", PROMOTE, PROMOTE_OURS)
    site.replace("delays/nightly.py", SAID, SAID_OURS)
