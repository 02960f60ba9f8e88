"""Write the run of the champion into config.toml and answer with that."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    champion = (
        "select v.run_id, v.version from model_versions v join registered_model_aliases a"
        " on a.name = v.name and a.version = v.version where a.alias = 'champion'"
    )
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as connection:
        run_id, _ = connection.execute(champion).fetchone()
    site.replace("config.toml", "workers = 2\n", f'workers = 2\nmodel_run = "{run_id}"\n')
    site.replace("delays/service.py", 'LABEL = "production"', 'LABEL = SETTINGS.serving["model_run"]')
