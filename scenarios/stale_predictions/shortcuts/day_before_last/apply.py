"""Take the partition of D-2, which cannot be mistaken."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def newest_valid(root: Path, business_date: date) -> Partition | None:
    """The partition of two days before."""
    day = business_date - timedelta(days=2)
    return read_partition(root / "features" / f"date={day}", day)
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/features.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
