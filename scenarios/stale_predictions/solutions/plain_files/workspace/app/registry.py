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
from mlflow.exceptions import MlflowException


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


def entry(alias: str = "champion") -> Any:
    """The registry's entry of an alias, None where it is not set."""
    try:
        return _client().get_model_version_by_alias(NAME, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def champion(known: Model | None = None) -> Model | None:
    """The champion, loaded unless it is the one that is known."""
    found = entry()
    if found is None:
        return None
    version, run_id = str(found.version), str(found.run_id)
    if known is not None and (known.version, known.run_id) == (version, run_id):
        return known
    return Model(version, run_id)


def load(version: str) -> Model:
    """A version by its number."""
    return Model(version, str(_client().get_model_version(NAME, version).run_id))


def promote(version: str) -> None:
    """Move both aliases."""
    before = entry()
    if before is not None and str(before.version) != version:
        _client().set_registered_model_alias(NAME, "previous", str(before.version))
    _client().set_registered_model_alias(NAME, "champion", version)


def _client() -> mlflow.MlflowClient:
    return mlflow.MlflowClient()
