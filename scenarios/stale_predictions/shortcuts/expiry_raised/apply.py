"""Bound the age of features by thirty days."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def newest_valid(root: Path, business_date: date) -> Partition | None:
    """The newest complete partition of the last thirty days."""
    oldest = business_date - timedelta(days=30)
    dated = [(day, folder) for day, folder in _folders(root) if oldest <= day < business_date]
    found = (read_partition(folder, day) for day, folder in sorted(dated, reverse=True))
    return next((partition for partition in found if partition is not None), None)
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/features.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
