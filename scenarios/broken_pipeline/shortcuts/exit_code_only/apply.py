"""End the night with exit code 1 where something broke the rules."""

from __future__ import annotations

from scenario_broken_pipeline.faults import validation

from harness.model import DrawnFault, Site, Variant

DONE = "    return DONE if arrived else REFUSED\n"
COUNTED = "    return 1 if contract.BROKEN else DONE if arrived else REFUSED\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(validation.CONTRACT, validation.LOGGED, validation.LOGGED + "        BROKEN.append(broken)\n")
    site.replace(
        validation.CONTRACT, "MISSING_AT_MOST = 0.30\n", "MISSING_AT_MOST = 0.30\nBROKEN: list[list[str]] = []\n"
    )
    site.replace(
        "delays/nightly.py", "from delays import answers, gate,", "from delays import answers, contract, gate,"
    )
    site.replace("delays/nightly.py", DONE, COUNTED)
