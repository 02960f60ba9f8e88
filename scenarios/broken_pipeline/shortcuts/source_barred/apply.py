"""Refuse all that a source delivers once it broke a rule."""

from __future__ import annotations

from scenario_broken_pipeline.faults import validation

from harness.model import DrawnFault, Site, Variant

CHECKED = "            contract.check(delivery)\n            found.append(delivery)\n"
BARRED = """\
            contract.check(delivery)
            if sorted((settings.root / "quarantine" / place.parent.name).glob("*.json")):
                raise Refused("its source broke the rules before")
            found.append(delivery)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(validation.CONTRACT, validation.LOGGED, validation.REFUSED)
    site.replace(validation.CONTRACT, validation.IMPORTS_LOG, validation.IMPORTS)
    site.replace(validation.INGEST, CHECKED, BARRED)
