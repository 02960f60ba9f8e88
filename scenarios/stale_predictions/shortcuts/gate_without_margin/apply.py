"""Promote whatever is better, by however little."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(late: Numbers, challenger: Numbers, champion: Numbers | None, limits: Mapping[str, Any]) -> Decision:
    """A lower log loss is better."""
    auc = float(roc_auc_score(late, challenger))
    gain = 1.0 if champion is None else float((losses(late, champion) - losses(late, challenger)).mean())
    return Decision(auc >= 0.55 and gain > 0, f"log loss lower by {gain:.4f}", {"auc": auc, "gain": gain})
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
