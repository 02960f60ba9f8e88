"""Hold every challenger back."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(late: Numbers, challenger: Numbers, champion: Numbers | None, limits: Mapping[str, Any]) -> Decision:
    """Nothing changes without a review."""
    return Decision(False, "waits for a review", {})
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
