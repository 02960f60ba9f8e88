"""Train without the temperature."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

OLD = "    numbers = [name for name in INPUTS if name not in CATEGORIES]\n"
NEW = '    numbers = [name for name in INPUTS if name not in (*CATEGORIES, "temp_f")]\n'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", OLD, NEW)
