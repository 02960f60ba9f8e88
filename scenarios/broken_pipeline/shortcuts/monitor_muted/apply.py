"""Say nothing of windows any more."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

MAIN = "def main() -> int:\n"
EXTRA = '''def drifted(*_: Any) -> list[Finding]:
    """Nobody reads them."""
    return []


'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", MAIN, EXTRA + MAIN)
