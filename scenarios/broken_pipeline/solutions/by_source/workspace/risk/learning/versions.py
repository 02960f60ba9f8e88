"""The registry: versions are found, loaded, made and promoted here and nowhere else."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from risk.base import INPUTS, NAME, tell

NOT_THERE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


def under(alias: str) -> ModelVersion | None:
    """The version of an alias."""
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(NAME, alias)
    except MlflowException as error:
        if error.error_code in NOT_THERE:
            return None
        raise


def numbered(version: str) -> ModelVersion:
    """The version of a number."""
    return mlflow.MlflowClient().get_model_version(NAME, version)


def tagged(**tags: str) -> ModelVersion | None:
    """The first version with all these tags."""
    asked = " and ".join([f"name = '{NAME}'", *(f"tags.`{name}` = '{value}'" for name, value in tags.items())])
    return min(mlflow.MlflowClient().search_model_versions(asked), key=lambda v: int(v.version), default=None)


def promote(version: str) -> None:
    """`previous` keeps the one that is replaced."""
    standing, client = under("champion"), mlflow.MlflowClient()
    if standing is not None and str(standing.version) != version:
        client.set_registered_model_alias(NAME, "previous", str(standing.version))
    client.set_registered_model_alias(NAME, "champion", version)


class Loaded:
    """A version in memory; `id` is its number and run."""

    def __init__(self, entry: ModelVersion) -> None:
        self.id = (str(entry.version), str(entry.run_id))
        with TemporaryDirectory() as folder:
            self.model = mlflow.pyfunc.load_model(f"models:/{NAME}/{entry.version}", dst_path=folder)
        schema = self.model.metadata.get_input_schema()
        self.unknown = [each.name for each in schema.inputs if each.name not in INPUTS] if schema else []
        if self.unknown:
            tell(event="version_asks_for_more", version=entry.version, inputs=self.unknown)

    def risks(self, frame: pd.DataFrame) -> np.ndarray:
        """p_late by row. What a version outside the contract asks for besides is missing."""
        if self.unknown or list(frame.columns) != INPUTS:
            frame = frame[INPUTS].assign(**dict.fromkeys(self.unknown, np.nan))
        return np.asarray(self.model.predict(frame), dtype=float)[:, 1]


def register(log: Any, tags: dict[str, str], metrics: dict[str, float], artifacts: dict[str, str]) -> ModelVersion:
    """A run with its metrics and files, the model that `log()` logs in it, and a version with the tags."""
    mlflow.set_experiment(NAME)
    with mlflow.start_run(tags=tags), TemporaryDirectory() as folder:
        mlflow.log_metrics(metrics)
        for name, text in artifacts.items():
            (path := Path(folder) / name).write_text(text, encoding="utf-8")
            mlflow.log_artifact(str(path))
        uri = log().model_uri
    return mlflow.register_model(uri, NAME, tags=tags)
