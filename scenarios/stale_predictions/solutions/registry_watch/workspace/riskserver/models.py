"""Versions in the registry: the champion, promotion, registration, loading."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from riskserver.inputs import INPUTS, TEXTS
from riskserver.places import MODEL
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, RobustScaler

MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def alias(name: str = "champion") -> ModelVersion | None:
    """The version under an alias, None where it is not set."""
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(MODEL, name)
    except MlflowException as error:
        if error.error_code in MISSING:
            return None
        raise


def promote(version: str) -> None:
    """Previous gets what was champion; champion gets the version."""
    client, before = mlflow.MlflowClient(), alias()
    if before is not None and str(before.version) != version:
        client.set_registered_model_alias(MODEL, "previous", str(before.version))
    client.set_registered_model_alias(MODEL, "champion", version)


def load(version: str) -> Any:
    """The pyfunc of a version; nothing of it stays on disk."""
    with tempfile.TemporaryDirectory() as folder:
        return mlflow.pyfunc.load_model(f"models:/{MODEL}/{version}", dst_path=folder)


def risks(model: Any, frame: pd.DataFrame) -> np.ndarray:
    """p_late of each row."""
    return np.asarray(model.predict(frame[list(INPUTS)]), dtype=float)[:, 1]


def train(frame: pd.DataFrame) -> Pipeline:
    """Weights for carriers, origins and hours, and for the scaled numbers."""
    numbers = [name for name in INPUTS if name not in (*TEXTS, "hour")]
    filled = Pipeline([("fill", SimpleImputer(keep_empty_features=True)), ("scale", RobustScaler())])
    parts = [("codes", OneHotEncoder(handle_unknown="ignore"), [*TEXTS, "hour"]), ("numbers", filled, numbers)]
    steps = [("prepare", ColumnTransformer(parts)), ("weigh", LogisticRegression(C=0.5, max_iter=400))]
    return Pipeline(steps).fit(frame[list(INPUTS)], frame["late"])


def register(pipeline: Pipeline, trained_on: pd.DataFrame, holdout: pd.DataFrame, metrics: dict[str, float]) -> str:
    """Log and register a model with where it comes from; returns its version."""
    tags = {
        "data_digest": hashlib.sha256(trained_on.to_csv(index=False).encode()).hexdigest(),
        "code_digest": hashlib.sha256(b"".join(p.read_bytes() for p in _sources())).hexdigest(),
        "train_from": str(trained_on["date"].min()),
        "train_to": str(trained_on["date"].max()),
        "holdout_from": str(holdout["date"].min()),
        "holdout_to": str(holdout["date"].max()),
        "metric": "log_loss",
        "metric_value": str(metrics["log_loss"]),
    }
    mlflow.set_experiment(MODEL)
    with mlflow.start_run():
        mlflow.log_metrics(metrics)
        info = mlflow.sklearn.log_model(
            pipeline,
            name="risk",
            signature=_signature(),
            pip_requirements=["scikit-learn", "pandas", "skops"],
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=["numpy.dtype"],
        )
    return str(mlflow.register_model(info.model_uri, MODEL, tags=tags).version)


def _sources() -> list[Path]:
    return sorted(Path(__file__).parent.glob("*.py"))


def _signature() -> ModelSignature:
    columns = [ColSpec("string" if n in TEXTS else "double", n, required=n in TEXTS) for n in INPUTS]
    return ModelSignature(Schema(columns), Schema([TensorSpec(np.dtype("float64"), (-1, 2))]))
