"""Refuse what breaks the rules from now on, and leave the table as it is."""

from __future__ import annotations

from scenario_broken_pipeline.faults import validation

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(validation.CONTRACT, validation.LOGGED, validation.REFUSED)
    site.replace(validation.CONTRACT, validation.IMPORTS_LOG, validation.IMPORTS)
    site.replace(validation.CONTRACT, validation.WARNS, validation.RAISES)
