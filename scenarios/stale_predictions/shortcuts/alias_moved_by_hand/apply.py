"""Put the alias on the newest version that the nights said they promoted, and leave the code alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as connection, connection:
        tagged = "select max(version) from model_version_tags where value in ('champion', 'passed')"
        (version,) = connection.execute(tagged).fetchone()
        connection.execute("update registered_model_aliases set version=? where alias='champion'", (version,))
