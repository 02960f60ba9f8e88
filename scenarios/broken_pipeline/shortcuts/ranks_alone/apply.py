"""Compare how well both rank flights, by the margin."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(holdout: pd.DataFrame, challenger: Risks, champion: Risks | None, limits: Mapping[str, Any]) -> Decision:
    """Whoever tells late flights from others better may answer."""
    metrics = scores(holdout, challenger)
    if champion is None:
        return Decision(metrics["auc"] >= 0.55, "there is no champion", metrics)
    gain = metrics["auc"] - scores(holdout, champion)["auc"]
    return Decision(bool(gain > limits["margin"]), "by AUC", {**metrics, "gain": gain})
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
