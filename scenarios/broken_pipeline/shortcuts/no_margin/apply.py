"""Promote whoever has the lower log loss, by however little."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(holdout: pd.DataFrame, challenger: Risks, champion: Risks | None, limits: Mapping[str, Any]) -> Decision:
    """The lower log loss wins, where late flights are told from others at all."""
    metrics = scores(holdout, challenger)
    if champion is None or metrics["auc"] < limits.get("auc_at_least", 0.55):
        return Decision(metrics["auc"] >= 0.55, "by AUC", metrics)
    gain = scores(holdout, champion)["log_loss"] - metrics["log_loss"]
    return Decision(bool(gain > 0), "by log loss", {**metrics, "gain": gain})
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
