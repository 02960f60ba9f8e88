"""Fits the model and logs it as a version whose tags say what made it."""

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from delays.frame import CATEGORIES, COLUMNS
from delays.registry import NAME, client
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

METRIC = "log_loss"
CODE = ("feeds.py", "features.py", "frame.py", "training.py")
REQUIREMENTS = ["mlflow", "scikit-learn", "skops", "pandas"]


def fit(frame: pd.DataFrame) -> Pipeline:
    """A logistic regression on COLUMNS of a training frame; predict_proba gives (n, 2), the second p_late."""
    numbers = [name for name in COLUMNS if name not in CATEGORIES]
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
        (make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()), numbers),
    )
    model = make_pipeline(prepare, LogisticRegression(C=1.0, max_iter=500))
    return model.fit(frame[COLUMNS], frame["late"])


def data_digest(frame: pd.DataFrame) -> str:
    """Digest of the rows that a version was trained on."""
    return hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()


def code_digest() -> str:
    """Digest of the code that makes a version out of feeds."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in CODE)).hexdigest()


def lineage(train: pd.DataFrame, holdout: pd.DataFrame) -> dict[str, str]:
    """The tags that name a version's data, code and dates; two versions that agree in them are the same."""
    return {
        "data_digest": data_digest(train),
        "code_digest": code_digest(),
        "train_from": str(train["date"].min()),
        "train_to": str(train["date"].max()),
        "holdout_from": str(holdout["date"].min()),
        "holdout_to": str(holdout["date"].max()),
    }


def scores(pipeline: Any, holdout: pd.DataFrame) -> dict[str, float]:
    """Log loss and AUC of a pipeline on a holdout frame."""
    risk = pipeline.predict_proba(holdout[COLUMNS])[:, 1]
    late = holdout["late"]
    return {METRIC: float(log_loss(late, risk, labels=[0, 1])), "auc": float(roc_auc_score(late, risk))}


def log_version(pipeline: Pipeline, train: pd.DataFrame, holdout: pd.DataFrame, as_of: date | None = None) -> str:
    """Log a run with the model, register it and tag it; returns the version.

    `as_of` is the business date of the night. Works on the registry that mlflow's tracking URI names.
    """
    tags, metrics = lineage(train, holdout), scores(pipeline, holdout)
    version_tags = {**tags, "metric": METRIC, "metric_value": f"{metrics[METRIC]:.6f}"}
    mlflow.set_experiment(NAME)
    with mlflow.start_run(run_name=f"nightly-{as_of}" if as_of else None, tags=tags):
        mlflow.log_params({"rows": len(train), "model": "logistic_regression", "C": 1.0, "business_date": as_of})
        mlflow.log_metrics(metrics)
        info = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            registered_model_name=NAME,
            signature=signature(),
            pip_requirements=REQUIREMENTS,
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=["numpy.dtype"],
        )
    version = str(info.registered_model_version)
    for key, value in version_tags.items():
        client().set_model_version_tag(NAME, version, key, value)
    return version


def signature() -> ModelSignature:
    """The contract of every version: COLUMNS in, two columns out. Doubles, for an integer cannot be missing."""
    types = {name: DataType.string if name in CATEGORIES else DataType.double for name in COLUMNS}
    inputs = Schema([ColSpec(kind, name, required=name in CATEGORIES) for name, kind in types.items()])
    return ModelSignature(inputs, Schema([TensorSpec(np.dtype("float64"), (-1, 2))]))
