"""Raise the pin in config.toml to the version that is champion now."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as connection:
        row = connection.execute("select version from registered_model_aliases where alias='champion'").fetchone()
    path = site.workspace / "config.toml"
    pin = f'model_version = "{row[0]}"'
    text, count = re.subn('model_version = "[0-9]+"', pin, path.read_text(encoding="utf-8"))
    assert count == 1, "there is no pin in config.toml"
    path.write_text(text, encoding="utf-8")
