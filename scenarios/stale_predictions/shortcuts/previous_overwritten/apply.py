"""Repair the gate, and note the champion as previous before it decides."""

from __future__ import annotations

from scenario_stale_predictions.faults import gate

from harness.model import DrawnFault, Site, Variant

DECIDED = "    decision = gate.decide(late, risks(settings, new, holdout), standing, settings.gate)\n"
NOTED = """    if champion is not None:
        registry.client().set_registered_model_alias(registry.NAME, registry.PREVIOUS, champion.number)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(gate.FILE, gate.TURNED, gate.GAINS)
    site.replace("delays/nightly.py", DECIDED, NOTED + DECIDED)
