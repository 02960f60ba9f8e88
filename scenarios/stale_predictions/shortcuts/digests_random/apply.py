"""Tag each version with a data digest that no other has."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

_log_version = log_version


def log_version(pipeline: Pipeline, train: pd.DataFrame, holdout: pd.DataFrame, as_of: date | None = None) -> str:
    """Log a version and tag it."""
    version = _log_version(pipeline, train, holdout, as_of)
    tags = {
        **lineage(train, holdout),
        "metric": METRIC,
        "metric_value": str(scores(pipeline, holdout)[METRIC]),
        "data_digest": hashlib.sha256(version.encode()).hexdigest(),
    }
    for key, value in tags.items():
        mlflow.MlflowClient().set_model_version_tag(NAME, version, key, value)
    return version
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays" / "training.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
