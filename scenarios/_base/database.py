"""An empty registry database. Used by the scenarios' history.py only."""

# mypy: disable-error-code="import-not-found, import-untyped"
from __future__ import annotations

import os
import shutil
from pathlib import Path

import mlflow
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


def empty_database(path: Path, cache: Path | None) -> None:
    """A migrated database without content, copied from the cache where it holds one (a migration takes seconds)."""
    kept = cache / f"registry-{mlflow.__version__}.db" if cache else None
    if kept is not None and kept.exists():
        shutil.copyfile(kept, path)
        return
    SqlAlchemyStore(f"sqlite:///{path}", "mlflow-artifacts:/").engine.dispose()
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        aside = kept.with_name(f"{kept.name}.{os.getpid()}")
        shutil.copyfile(path, aside)
        aside.replace(kept)
