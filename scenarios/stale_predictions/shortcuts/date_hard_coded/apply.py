"""Write the date of the newest partition into the code."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def newest_valid(root: Path, business_date: date) -> Partition | None:
    """The partition that is right."""
    folder = root / "features" / "FOLDER_NAME"
    return read_partition(folder, date.fromisoformat(folder.name.removeprefix("date=")))
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    newest = max((site.workspace / "features").glob("date=*")).name
    path = site.workspace / "delays" / "features.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA.replace("FOLDER_NAME", newest), encoding="utf-8")
