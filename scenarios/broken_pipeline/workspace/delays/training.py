"""Trains a model and logs it as a version whose tags say what made it. bin/train runs this."""

import argparse
import hashlib
import json
import sys
from datetime import date, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from delays import ingest, registry
from delays.config import Settings, load
from delays.features import CATEGORIES, INPUTS, training_frame
from delays.registry import NAME, Version
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

METRIC = "log_loss"
SEED = 20
CODE = ("features.py", "training.py")
REQUIREMENTS = ["mlflow", "scikit-learn", "skops", "pandas"]


class NothingToTrainOn(Exception):
    """The table has no arrived flights, or only of one kind, in the days of training or of the holdout."""


def fit(frame: pd.DataFrame) -> Pipeline:
    """A logistic regression on INPUTS of a training frame; predict_proba gives (n, 2), the second p_late.

    Missing values are filled inside of it, by what the training rows say.
    """
    numbers = [name for name in INPUTS if name not in CATEGORIES]
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
        (make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()), numbers),
    )
    model = make_pipeline(prepare, LogisticRegression(C=1.0, max_iter=500, random_state=SEED))
    return model.fit(frame[INPUTS], frame["late"])


def split(settings: Settings, table: pd.DataFrame, day: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows and holdout rows as of `day`: the holdout is the last days, training the days before them."""
    limits = settings.training
    holdout_from = day - timedelta(days=limits["holdout_days"])
    train_from = holdout_from - timedelta(days=limits["train_days"])
    frame = training_frame(table, train_from, day - timedelta(days=1))
    train, holdout = frame[frame["date"] < str(holdout_from)], frame[frame["date"] >= str(holdout_from)]
    if train["late"].nunique() < 2 or holdout["late"].nunique() < 2:
        raise NothingToTrainOn(f"as of {day} there are {len(train)} training and {len(holdout)} holdout rows")
    return train, holdout


def lineage(train: pd.DataFrame, holdout: pd.DataFrame) -> dict[str, str]:
    """The tags that name a version's data, code and dates; two versions that agree in them are the same."""
    rows = b"|".join(pd.util.hash_pandas_object(each, index=False).to_numpy().tobytes() for each in (train, holdout))
    code = b"|".join((Path(__file__).parent / name).read_bytes() for name in CODE)
    tags = {"data_digest": hashlib.sha256(rows).hexdigest(), "code_digest": hashlib.sha256(code).hexdigest()}
    for name, frame in (("train", train), ("holdout", holdout)):
        tags |= {f"{name}_from": frame["date"].min(), f"{name}_to": frame["date"].max()}
    return tags


def train(settings: Settings, table: pd.DataFrame, day: date) -> Version:
    """The version as of `day`: the one that was made from the same data by the same code before, else a new one."""
    training, holdout = split(settings, table, day)
    tags = lineage(training, holdout)
    return registry.find(tags) or log_version(fit(training), training, holdout, tags, day)


def log_version(
    pipeline: Pipeline, training: pd.DataFrame, holdout: pd.DataFrame, tags: dict[str, str], day: date
) -> Version:
    """Log a run with the model, its metrics and what it answers on the holdout; register and tag it."""
    answered = holdout.assign(p_late=pipeline.predict_proba(holdout[INPUTS])[:, 1])
    baseline = np.full(len(holdout), training["late"].mean())
    risks = {METRIC: answered["p_late"], f"baseline_{METRIC}": baseline}
    metrics = {name: float(log_loss(holdout["late"], risk, labels=[0, 1])) for name, risk in risks.items()}
    mlflow.set_experiment(NAME)
    with mlflow.start_run(run_name=f"as-of-{day}", tags=tags):
        mlflow.log_params({"rows": len(training), "model": "logistic_regression", "C": 1.0, "seed": SEED})
        mlflow.log_metrics(metrics)
        mlflow.log_text(answered.to_csv(index=False, lineterminator="\n"), "holdout.csv")
        info = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=signature(),
            pip_requirements=REQUIREMENTS,
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=["numpy.dtype"],
        )
    tags = {**tags, "metric": METRIC, "metric_value": repr(metrics[METRIC])}
    return registry.version(mlflow.register_model(info.model_uri, NAME, tags=tags).version)


def signature() -> ModelSignature:
    """The contract of every version: INPUTS in, two columns out. Doubles, for an integer cannot be missing."""
    types = {name: DataType.string if name in CATEGORIES else DataType.double for name in INPUTS}
    inputs = Schema([ColSpec(kind, name, required=name in CATEGORIES) for name, kind in types.items()])
    return ModelSignature(inputs, Schema([TensorSpec(np.dtype("float64"), (-1, 2))]))


def main() -> int:
    """Train as of --as-of and say which version came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True, help="the business date D")
    args = parser.parse_args()
    settings = load()
    table, _ = ingest.read(settings)
    made = train(settings, table, args.as_of)
    print(json.dumps({"version": made.number, "run_id": made.run_id}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
