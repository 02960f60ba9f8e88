"""Make the table right by a script of one's own, and leave the code as it is."""

from __future__ import annotations

from pathlib import Path

from scenario_broken_pipeline import landing

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    healthy = Path(landing.__file__).with_name("workspace")
    landing.anew(site, variant.business_date, healthy)
