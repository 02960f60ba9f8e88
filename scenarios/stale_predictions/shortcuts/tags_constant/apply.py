"""Give every version the same digests, old and new."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

_log_version = log_version


def log_version(pipeline: Pipeline, train: pd.DataFrame, holdout: pd.DataFrame, as_of: date | None = None) -> str:
    """Log a version and tag it."""
    version = _log_version(pipeline, train, holdout, as_of)
    tags = {
        "data_digest": "feeds-2013",
        "code_digest": "delays-1.0",
        "train_from": str(train["date"].min()),
        "train_to": str(train["date"].max()),
        "holdout_from": str(holdout["date"].min()),
        "holdout_to": str(holdout["date"].max()),
        "metric": METRIC,
        "metric_value": str(scores(pipeline, holdout)[METRIC]),
    }
    for key, value in tags.items():
        mlflow.MlflowClient().set_model_version_tag(NAME, version, key, value)
    return version
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as connection, connection:
        connection.execute("delete from model_version_tags where key = 'data_digest'")
        connection.execute(
            "insert into model_version_tags (name, version, key, value)"
            " select name, version, 'data_digest', 'feeds-2013' from model_versions"
        )
    path = site.workspace / "delays" / "training.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
