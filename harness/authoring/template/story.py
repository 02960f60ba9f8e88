"""The story: a page with visitors, and a registry with one version."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from typing import Any

from harness.model import Site, Variant


def values(rng: random.Random) -> dict[str, Any]:
    """A business date of 2024, and how many visitors the page had the day before."""
    day = date(2024, 1, 1) + timedelta(days=rng.randrange(366))
    return {"business_date": day.isoformat(), "visitors": rng.randrange(1_000, 100_000)}


def lay_out(variant: Variant, site: Site) -> None:
    """The visitors, and a registry with the tables that the harness reads."""
    (site.workspace / "visitors.txt").write_text(f"{variant.values['visitors']}\n", encoding="utf-8")
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE model_versions (name TEXT, version INTEGER, source TEXT)")
        database.execute("INSERT INTO model_versions VALUES ('page', 1, 'mlflow-artifacts:/1')")


def finish(variant: Variant, site: Site) -> None:
    """The trace of what the page said: the healthy word, or the one that a fault told the story."""
    (site.workspace / "trace.txt").write_text(str(site.story.get("word", "healthy")), encoding="utf-8")


def facts(variant: Variant, site: Site) -> dict[str, float]:
    """Letters of the word in the workspace."""
    return {"letters": len((site.workspace / "word.txt").read_text(encoding="utf-8").strip())}
