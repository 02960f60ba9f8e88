"""Ask for the marker, but not for what it says."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

_read_anyway = read_partition


def read_partition(folder: Path, day: date) -> Partition | None:
    """A partition with a marker."""
    return _read_anyway(folder, day) if (folder / "_SUCCESS.json").is_file() else None
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/features.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
