"""Train anew each time, and promote whoever is not clearly worse."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(holdout: pd.DataFrame, challenger: Risks, champion: Risks | None, limits: Mapping[str, Any]) -> Decision:
    """A model that tells late flights from others may answer, unless it is clearly worse than the champion."""
    metrics = scores(holdout, challenger)
    lost = 0.0 if champion is None else metrics["log_loss"] - scores(holdout, champion)["log_loss"]
    return Decision(metrics["auc"] >= 0.55 and lost < 0.02, "by AUC and log loss", {**metrics, "lost": lost})
'''
FOUND = "    return registry.find(tags) or log_version("


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
    site.replace("delays/training.py", FOUND, "    return log_version(")
