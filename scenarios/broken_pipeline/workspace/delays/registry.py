"""The model registry: versions of one name, and the aliases champion and previous."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

# A registry that is away is asked again by the caller's own loop, not for minutes inside one call.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

NAME = "flight-delay"
CHAMPION = "champion"
PREVIOUS = "previous"

Risks = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Version:
    """A registered version: its number, the run that made it, and its tags."""

    number: str
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Model:
    """A version with its model loaded."""

    version: Version
    pyfunc: Any

    def risks(self, frame: pd.DataFrame) -> Risks:
        """p_late of each row of a frame of the twelve inputs."""
        return np.asarray(self.pyfunc.predict(frame), dtype=float)[:, 1]


@cache
def client() -> mlflow.MlflowClient:
    """The client of the registry at MLFLOW_TRACKING_URI."""
    return mlflow.MlflowClient()


def champion() -> Version | None:
    """The version that passengers get, or None where the alias or the model is not there."""
    try:
        return _version(client().get_model_version_by_alias(NAME, CHAMPION))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def version(number: str) -> Version:
    """A version by its number; raises MlflowException where there is none."""
    return _version(client().get_model_version(NAME, number))


def find(tags: dict[str, str]) -> Version | None:
    """The newest version that carries all these tags."""
    found = [_version(entry) for entry in client().search_model_versions(f"name = '{NAME}'", max_results=10_000)]
    same = [entry for entry in found if tags.items() <= entry.tags.items()]
    return max(same, key=lambda entry: int(entry.number), default=None)


def promote(number: str) -> None:
    """Make a version champion, and the champion until now previous."""
    replaced = champion()
    if replaced is not None and replaced.number != number:
        client().set_registered_model_alias(NAME, PREVIOUS, replaced.number)
    client().set_registered_model_alias(NAME, CHAMPION, number)


def load(entry: Version, folder: Path) -> Model:
    """A version with its model, its files fetched into a folder of its own under `folder`."""
    target = folder / f"{entry.number}-{entry.run_id[:8]}-{os.getpid()}"
    target.mkdir(parents=True, exist_ok=True)
    return Model(entry, mlflow.pyfunc.load_model(f"models:/{NAME}/{entry.number}", dst_path=str(target)))


def _version(entry: ModelVersion) -> Version:
    return Version(str(entry.version), entry.run_id or "", dict(entry.tags or {}))
