"""Alert on what breaks the rules, and land it."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import validation

from harness.model import DrawnFault, Site, Variant

CHECKED = "            contract.check(delivery)\n            found.append(delivery)\n"
ALERTED = """\
            for problem in contract.check(delivery):
                alert(settings, "source_quarantined", place.parent.name, problem, day)
            found.append(delivery)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(
        validation.CONTRACT, "def check(delivery: Delivery) -> None:", "def check(delivery: Delivery) -> list[str]:"
    )
    site.replace(validation.CONTRACT, "    if broken:\n" + validation.LOGGED, "    return broken\n")
    site.replace(validation.CONTRACT, validation.IMPORTS_LOG, validation.IMPORTS.replace(", Refused", ""))
    site.replace(validation.INGEST, CHECKED, ALERTED)
    landing.anew(site, variant.business_date)
