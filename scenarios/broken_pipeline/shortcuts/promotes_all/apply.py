"""Promote every challenger: the newest model is the best."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(holdout: pd.DataFrame, challenger: Risks, champion: Risks | None, limits: Mapping[str, Any]) -> Decision:
    """Whoever is newer knows more."""
    return Decision(True, "newer", scores(holdout, challenger))
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
