"""Ask for an AUC of 0.55 and for nothing else."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(late: Numbers, challenger: Numbers, champion: Numbers | None, limits: Mapping[str, Any]) -> Decision:
    """A challenger that discriminates is good enough."""
    auc = float(roc_auc_score(late, challenger))
    return Decision(auc >= 0.55, f"AUC {auc:.3f}", {"auc": auc})
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
