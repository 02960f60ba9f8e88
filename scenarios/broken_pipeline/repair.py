"""An honest repair of whatever was drawn: right code, the table landed anew, the aliases on models of sound data."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, time
from itertools import pairwise

from harness.model import Site, Variant

from . import landing

CODE = ("delays", "bin")
SETTINGS = "config.toml"
KEPT_FILE = "state/model"
"""Where serving keeps a file of its own in one form."""


def repair(site: Site, healthy: Site, variant: Variant) -> None:
    """Repair a broken site. What the nights left in state/ and in the registry stays, as the brief asks.

    Raises ScenarioError where the table cannot be landed anew.
    """
    for name in CODE:
        shutil.rmtree(site.workspace / name)
        shutil.copytree(healthy.workspace / name, site.workspace / name)
    shutil.copyfile(healthy.workspace / SETTINGS, site.workspace / SETTINGS)
    shutil.rmtree(site.workspace / KEPT_FILE, ignore_errors=True)
    landing.anew(site, variant.business_date)
    go_back(site, variant)


def go_back(site: Site, variant: Variant) -> None:
    """Put champion and previous on the newest two versions from before the first fault: all later ones are in doubt."""
    onset = min(fault.onset for fault in variant.faults if fault.onset is not None)
    until = datetime.combine(onset, time(), UTC).timestamp() * 1000
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as connection:
        made = "select version from model_versions where creation_time < ? order by version"
        versions = [version for (version,) in connection.execute(made, (until,))]
        *_, (previous, champion) = pairwise(versions)
        for alias, version in (("champion", champion), ("previous", previous)):
            connection.execute("update registered_model_aliases set version = ? where alias = ?", (version, alias))
        connection.commit()
