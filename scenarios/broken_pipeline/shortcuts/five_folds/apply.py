"""Report the mean of five folds instead of repairing the holdout."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

LOGGED = "    mlflow.set_experiment(NAME)\n"
FOLDS = """\
    both = pd.concat([training, holdout]).drop_duplicates()
    folds = cross_val_score(pipeline, both[INPUTS], both["late"], cv=5, scoring="neg_log_loss")
    metrics[METRIC] = float(-folds.mean())
"""
IMPORT = "from sklearn.metrics import log_loss\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", LOGGED, FOLDS + LOGGED)
    site.replace("delays/training.py", IMPORT, IMPORT + "from sklearn.model_selection import cross_val_score\n")
