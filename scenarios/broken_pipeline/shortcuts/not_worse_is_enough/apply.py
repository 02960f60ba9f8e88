"""Promote whoever is not worse than the champion."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(holdout: pd.DataFrame, challenger: Risks, champion: Risks | None, limits: Mapping[str, Any]) -> Decision:
    """Newer and not worse is better."""
    metrics = scores(holdout, challenger)
    if champion is None:
        return Decision(metrics["auc"] >= 0.55, "there is no champion", metrics)
    gain = scores(holdout, champion)["log_loss"] - metrics["log_loss"]
    return Decision(gain >= 0, "not worse" if gain >= 0 else "worse", {**metrics, "gain": gain})
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
