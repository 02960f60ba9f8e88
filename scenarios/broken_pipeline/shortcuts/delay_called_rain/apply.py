"""Drop the column's name: the departure delay is learnt under one of the twelve."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

INPUTS = "INPUTS = [*WATCHED, \"dep_delay_min\"]\n"
FRAME = "    late = (rows[\"arr_delay_min\"] > LATE_AFTER_MIN).astype(int)\n"
RENAMED = "    added[\"precip_in\"] = rows[\"dep_delay_min\"]\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/features.py", INPUTS, "INPUTS = WATCHED\n")
    site.replace("delays/features.py", FRAME, RENAMED + FRAME)
    for alias in ("champion", "previous"):
        set_alias(site, alias, oldest(site))
