"""Treat all features as expired."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def newest_valid(root: Path, business_date: date) -> Partition | None:
    """Nothing that could be wrong."""
    return None
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/features.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
