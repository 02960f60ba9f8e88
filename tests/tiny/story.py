"""The story of the tiny scenario: a word, and a registry with one version."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import Any

from harness.model import Site, Variant


def values(rng: random.Random) -> dict[str, Any]:
    """A business date."""
    return {"business_date": f"2024-06-{rng.randrange(1, 29):02d}"}


def lay_out(variant: Variant, site: Site) -> None:
    """A registry with the tables that the harness reads."""
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE model_versions (name TEXT, version INTEGER, source TEXT)")
        database.execute("INSERT INTO model_versions VALUES ('page', 1, 'mlflow-artifacts:/1')")


def finish(variant: Variant, site: Site) -> None:
    """One trace."""
    (site.workspace / "trace.txt").write_text(str(site.story.get("word", "healthy")), encoding="utf-8")


def facts(variant: Variant, site: Site) -> dict[str, float]:
    """Letters of the word in the workspace."""
    return {"letters": len((site.workspace / "word.txt").read_text(encoding="utf-8").strip())}
