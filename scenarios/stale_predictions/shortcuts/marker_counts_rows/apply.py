"""Ask for the marker, and for as many rows as it says."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

_read_anyway = read_partition


def read_partition(folder: Path, day: date) -> Partition | None:
    """A partition with as many rows as its marker says."""
    found = _read_anyway(folder, day)
    try:
        said = json.loads((folder / "_SUCCESS.json").read_bytes())["rows"]
    except (OSError, ValueError, KeyError):
        return None
    return found if found is not None and len(found.rates) == said else None
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/features.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
