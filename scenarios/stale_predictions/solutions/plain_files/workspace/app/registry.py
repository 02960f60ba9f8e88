"""The registry over REST, by MLflow's client."""

import os
import shutil
import tempfile
from typing import Any

os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "6"}
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

import mlflow
import pandas as pd
from app.store import INPUTS, NAME, NUMBERS


class Model:
    """A loaded version."""

    def __init__(self, version: str, run_id: str) -> None:
        self.version, self.run_id = version, run_id
        folder = tempfile.mkdtemp(prefix="model-")
        try:
            self.pyfunc = mlflow.pyfunc.load_model(f"models:/{NAME}/{version}", dst_path=folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def risks(self, rows: pd.DataFrame | list[dict[str, Any]]) -> list[float]:
        """p_late of each row."""
        kinds = {name: float if name in NUMBERS else object for name in INPUTS}
        return [float(pair[1]) for pair in self.pyfunc.predict(pd.DataFrame(rows, columns=INPUTS).astype(kinds))]


def aliases() -> dict[str, str]:
    """All aliases of the model with their versions."""
    return {alias: str(version) for alias, version in _client().get_registered_model(NAME).aliases.items()}


def champion(known: Model | None = None) -> Model | None:
    """The champion, loaded unless it is the one that is known."""
    version = aliases().get("champion")
    if version is None:
        return None
    run_id = str(_client().get_model_version(NAME, version).run_id)
    if known is not None and (known.version, known.run_id) == (version, run_id):
        return known
    return Model(version, run_id)


def load(version: str) -> Model:
    """A version by its number."""
    return Model(version, str(_client().get_model_version(NAME, version).run_id))


def promote(version: str) -> None:
    """Move both aliases."""
    before = aliases().get("champion")
    if before not in (None, version):
        _client().set_registered_model_alias(NAME, "previous", before)
    _client().set_registered_model_alias(NAME, "champion", version)


def tags(version: str) -> dict[str, str]:
    """Tags of a version."""
    return dict(_client().get_model_version(NAME, version).tags)


def _client() -> mlflow.MlflowClient:
    return mlflow.MlflowClient()
