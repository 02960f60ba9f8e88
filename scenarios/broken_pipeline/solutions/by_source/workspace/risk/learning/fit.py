"""Training: splines of numbers, weights of codes, one logistic regression. The same data give the same fit."""

from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from pandas.util import hash_pandas_object
from risk.base import CODES, INPUTS, NUMBERS, tell
from risk.learning import gate, versions
from risk.learning.frame import Split, examples
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

STRAIGHT = ["precip_in", "visib_mi"]
"""Nearly always the same: quantiles of them are no knots."""
BENT = [name for name in NUMBERS if name not in STRAIGHT]
TRUSTED = ["numpy.dtype", "scipy._lib.array_api_compat.numpy._aliases.asarray", "scipy.interpolate._bsplines.BSpline"]
PACKAGES = ["scikit-learn", "pandas", "skops", "scipy"]


class Material(NamedTuple):
    """What a version is made from, with what identifies it."""

    split: Split
    train: pd.DataFrame
    holdout: pd.DataFrame
    tags: dict[str, str]


def material(today: date) -> Material:
    """The table's rows as of a day."""
    split = Split.of(today)
    train, holdout = examples(split.train_from, split.train_to), examples(split.holdout_from, split.holdout_to)
    tags = {"data_digest": _digest(train, holdout), "code_digest": _code()}
    return Material(split, train, holdout, tags | {name: str(day) for name, day in split._asdict().items()})


def version(made_of: Material) -> ModelVersion:
    """The version of this material; made unless it is there."""
    digests = {name: made_of.tags[name] for name in ("data_digest", "code_digest")}
    return versions.tagged(**digests) or _made(made_of)


def _made(made_of: Material) -> ModelVersion:
    train, holdout = made_of.train, made_of.holdout
    pipeline = fitted(train)
    late = holdout["late"].to_numpy()
    p = pipeline.predict_proba(holdout[INPUTS])[:, 1]
    metrics = {
        "log_loss": float(gate.loss(late, p).mean()),
        "baseline_log_loss": float(gate.loss(late, np.full(len(late), train["late"].mean())).mean()),
    }
    tags = {**made_of.tags, "metric": "log_loss", "metric_value": f"{metrics['log_loss']:.12g}"}
    log = partial(
        mlflow.sklearn.log_model,
        pipeline,
        name="splines",
        signature=_signature(),
        pip_requirements=PACKAGES,
        pyfunc_predict_fn="predict_proba",
        skops_trusted_types=TRUSTED,
    )
    made = versions.register(log, tags, metrics, {"holdout.csv": holdout.assign(p_late=p).to_csv(index=False)})
    tell(event="trained", version=made.version, rows=len(train), **metrics)
    return made


def fitted(train: pd.DataFrame) -> Pipeline:
    """The whole way from inputs to risks, filling included."""
    median = partial(SimpleImputer, strategy="median", keep_empty_features=True)
    splines = SplineTransformer(n_knots=4, degree=3, knots="quantile", extrapolation="constant")
    prepare = ColumnTransformer(
        [
            ("codes", OneHotEncoder(handle_unknown="ignore"), CODES),
            ("bent", Pipeline([("fill", median()), ("splines", splines)]), BENT),
            ("straight", Pipeline([("fill", median()), ("scale", StandardScaler())]), STRAIGHT),
        ]
    )
    weigh = LogisticRegression(C=0.05, max_iter=500)
    return Pipeline([("prepare", prepare), ("weigh", weigh)]).fit(train[INPUTS], train["late"])


def _digest(*frames: pd.DataFrame) -> str:
    whole = sha256()
    for frame in frames:
        whole.update(hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return whole.hexdigest()


def _code() -> str:
    root = Path(__file__).resolve().parents[1]
    return sha256(b"".join(path.read_bytes() for path in sorted(root.rglob("*.py")))).hexdigest()


def _signature() -> ModelSignature:
    inputs = [ColSpec("string" if name in CODES else "double", name, required=name in CODES) for name in INPUTS]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([TensorSpec(np.dtype("float64"), (-1, 2))]))
