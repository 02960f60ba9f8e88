"""Correct nothing."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def correct(settings: Settings, table: pd.DataFrame, day: date) -> int:
    """An answer that was given was given."""
    return 0
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/answers.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
