"""Ask which model tells late flights from punctual ones better."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(late: Numbers, challenger: Numbers, champion: Numbers | None, limits: Mapping[str, Any]) -> Decision:
    """The better order of flights wins."""
    auc = float(roc_auc_score(late, challenger))
    standing = 0.5 if champion is None else float(roc_auc_score(late, champion))
    return Decision(auc > max(0.55, standing + 0.01), f"AUC {auc:.3f}, champion {standing:.3f}", {"auc": auc})
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
