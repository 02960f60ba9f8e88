"""Versions: made, found again, loaded, promoted."""

import hashlib
import os
import tempfile
from datetime import date
from pathlib import Path
from typing import NamedTuple

os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "8"}
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from late import gate, inputs, table
from late.places import DAY, INPUTS, MODEL, NUMBERS, TEXTS, say

HOLDOUT, TRAINING = 7, 60
SETTINGS = {
    "learning_rate": 0.1,
    "max_iter": 80,
    "max_leaf_nodes": 3,
    "min_samples_leaf": 200,
    "l2_regularization": 20.0,
}
"""Small trees: storms of a few days are all that there is to learn from, and large ones learn the days."""
TRUSTED = [
    "functools.partial",
    "numpy.dtype",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
]
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class Version(NamedTuple):
    """A version in the registry."""

    version: str
    run_id: str


class Model:
    """A loaded version."""

    def __init__(self, entry: Version) -> None:
        self.entry = entry
        with tempfile.TemporaryDirectory(prefix="model-") as folder:
            self._pyfunc = mlflow.pyfunc.load_model(f"models:/{MODEL}/{entry.version}", dst_path=folder)
        signed = self._pyfunc.metadata.get_input_schema()
        self._strangers = [n for n in (signed.input_names() if signed else []) if n not in INPUTS]
        if self._strangers:
            say("inputs_outside_contract", version=entry.version, inputs=self._strangers)

    def risks(self, rows: pd.DataFrame) -> np.ndarray:
        """p_late of each row; inputs that nobody can know are missing."""
        if self._strangers or tuple(rows.columns) != INPUTS:
            rows = rows[list(INPUTS)].assign(**dict.fromkeys(self._strangers, np.nan))
        return np.asarray(self._pyfunc.predict(rows), dtype=float)[:, 1]


def champion() -> Version | None:
    """The version under the alias champion."""
    try:
        found = mlflow.MlflowClient().get_model_version_by_alias(MODEL, "champion")
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise
    return Version(str(found.version), str(found.run_id))


def named(version: str) -> Version:
    """A version by its number. Raises MlflowException."""
    found = mlflow.MlflowClient().get_model_version(MODEL, version)
    return Version(str(found.version), str(found.run_id))


def tags(version: str) -> dict[str, str]:
    """What a version says of itself."""
    return dict(mlflow.MlflowClient().get_model_version(MODEL, version).tags)


def promote(version: str) -> None:
    """The champion becomes previous, the version becomes champion."""
    client, before = mlflow.MlflowClient(), champion()
    if before is not None and before.version != version:
        client.set_registered_model_alias(MODEL, "previous", before.version)
    client.set_registered_model_alias(MODEL, "champion", version)


class Data(NamedTuple):
    """Training and holdout rows as of a day."""

    today: date
    training: pd.DataFrame
    holdout: pd.DataFrame


def data(today: date) -> Data:
    """D-67 to D-8 to learn from, D-7 to D-1 to be judged on; the two weeks before are only counted."""
    split = today - HOLDOUT * DAY
    first = split - TRAINING * DAY
    flights = table.read(first - inputs.RATE_DAYS * DAY, today - DAY)
    return Data(today, inputs.examples(flights, first, split - DAY), inputs.examples(flights, split, today - DAY))


def trained(found: Data) -> Version:
    """The version of this data and this code: the one that is registered already, or a new one."""
    tags = _tags(found)
    same = " and ".join(f"tags.{name} = '{tags[name]}'" for name in ("data_digest", "code_digest"))
    known = mlflow.MlflowClient().search_model_versions(f"name = '{MODEL}' and {same}")
    if known:
        oldest = min(known, key=lambda each: int(each.version))
        return Version(str(oldest.version), str(oldest.run_id))
    return _registered(found, tags)


def _registered(found: Data, tags: dict[str, str]) -> Version:
    fitted = fit(found.training)
    late = found.holdout["late"].to_numpy()
    p = fitted.predict_proba(found.holdout[list(INPUTS)])[:, 1]
    loss = gate.log_loss(late, p)
    base = gate.log_loss(late, np.full(len(late), found.training["late"].mean()))
    tags |= {"metric": "log_loss", "metric_value": repr(loss)}
    mlflow.set_experiment(MODEL)
    with mlflow.start_run(run_name=f"as of {found.today}", tags=tags) as run, tempfile.TemporaryDirectory() as folder:
        mlflow.log_params({**SETTINGS, "rows": len(found.training), "as_of": str(found.today)})
        mlflow.log_metrics({"log_loss": loss, "baseline_log_loss": base})
        declared = Path(folder) / "holdout.csv"
        columns = ["date", "carrier", "flight", "origin", *NUMBERS, "late"]
        found.holdout[columns].astype({"late": int}).assign(p_late=p).to_csv(declared, index=False)
        mlflow.log_artifact(str(declared))
        logged = mlflow.sklearn.log_model(
            fitted,
            name="trees",
            signature=_signature(),
            pip_requirements=["scikit-learn", "skops", "pandas"],
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=TRUSTED,
        )
    made = mlflow.register_model(logged.model_uri, MODEL, tags=tags)
    return Version(str(made.version), run.info.run_id)


def fit(training: pd.DataFrame) -> Pipeline:
    """Boosted trees; codes and missing values are theirs to deal with."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    trees = HistGradientBoostingClassifier(
        **SETTINGS, categorical_features=[0, 1], early_stopping=False, random_state=20
    )
    steps = make_pipeline(make_column_transformer((codes, list(TEXTS)), remainder="passthrough"), trees)
    return steps.fit(training[list(INPUTS)], training["late"])


def _tags(found: Data) -> dict[str, str]:
    digest = hashlib.sha256()
    for part in (found.training, found.holdout):
        digest.update(part.to_csv(index=False).encode())
    split = found.today - HOLDOUT * DAY
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
    return {
        "data_digest": digest.hexdigest(),
        "code_digest": code.hexdigest(),
        "train_from": str(split - TRAINING * DAY),
        "train_to": str(split - DAY),
        "holdout_from": str(split),
        "holdout_to": str(found.today - DAY),
    }


def _signature() -> ModelSignature:
    columns = [ColSpec("string" if name in TEXTS else "double", name, required=name in TEXTS) for name in INPUTS]
    return ModelSignature(Schema(columns), Schema([TensorSpec(np.dtype("float64"), (-1, 2))]))
