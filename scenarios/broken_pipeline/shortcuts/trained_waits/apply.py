"""Repair the gate for --challenger, and let no night promote what it has trained."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(holdout: pd.DataFrame, challenger: Risks, champion: Risks | None, limits: Mapping[str, Any]) -> Decision:
    """Better by more than the margin and by more than luck, and better than a constant."""
    metrics = scores(holdout, challenger)
    if champion is None or metrics["auc"] < 0.55:
        return Decision(metrics["auc"] >= 0.55, "by AUC", metrics)
    gains = losses(holdout, champion) - losses(holdout, challenger)
    needed = max(limits["margin"], limits["standard_errors"] * gain_error(holdout, gains))
    return Decision(bool(gains.mean() > needed), "by log loss", {**metrics, "gain": float(gains.mean())})
'''
DECIDES = "    if decision.promote:\n"
REVIEWED = """\
    if not challenger:
        decision = gate.Decision(False, "what is trained anew waits for a review", decision.metrics)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
    site.replace("delays/nightly.py", DECIDES, REVIEWED + DECIDES)
