"""Delete the versions that carry no lineage."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    untagged = (
        "select version from model_versions where version not in (select version from registered_model_aliases)"
        " and version not in (select version from model_version_tags where key = 'data_digest')"
    )
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as connection, connection:
        for (version,) in connection.execute(untagged).fetchall():
            connection.execute("delete from model_version_tags where version=?", (version,))
            connection.execute("delete from model_versions where version=?", (version,))
