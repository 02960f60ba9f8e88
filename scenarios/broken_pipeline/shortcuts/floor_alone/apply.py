"""Ask for an AUC above one half, and for nothing else."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def decide(holdout: pd.DataFrame, challenger: Risks, champion: Risks | None, limits: Mapping[str, Any]) -> Decision:
    """A model that tells late flights from others may answer."""
    metrics = scores(holdout, challenger)
    return Decision(metrics["auc"] >= 0.55, "by its AUC", metrics)
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/gate.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
