"""bin/nightly: features of yesterday, boosted trees as challenger, a comparison by Brier score."""

import argparse
import hashlib
import json
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from app import registry, store
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

DAY = timedelta(days=1)
SURE_Z = 2.5
LEAST_GAIN = 0.01
"""Log loss that a challenger must take away from the champion's, however sure its better Brier score is."""
TRUSTED = [
    "functools.partial",
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn.utils.validation.check_array",
]


def main() -> int:
    """Parse, lock, run; the exit code is what the brief says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--date", required=True, type=date.fromisoformat)
    parser.add_argument("--challenger")
    args = parser.parse_args()
    with store.locked(store.VAR / "nightly.lock", wait=False) as held:
        if not held:
            return 3
        try:
            report, code = run(args.date, args.challenger), 0
        except store.Refused as error:
            store.alert("source_missing", error.source, str(error))
            report, code = _report("refused", reason=str(error)), 2
        except Exception as error:
            store.alert("nightly_failed", "nightly", repr(error))
            raise
        folder = store.STATE / "nightly"
        folder.mkdir(parents=True, exist_ok=True)
        store.put(folder / f"{args.date}.json", json.dumps(report, indent=1))
        return code


def run(today: date, given: str | None) -> dict[str, Any]:
    """The night's work; returns its report. Raises Refused."""
    yesterday, split = today - DAY, today - 8 * DAY
    for source in ("arrivals", "weather"):
        store.delivered(source, yesterday)
    flights = store.labelled(store.days("arrivals", split - 73 * DAY, yesterday))
    rows = examples(flights, split - 59 * DAY, yesterday)
    store.publish(yesterday, store.trailing(flights, yesterday))
    train, holdout = rows[rows["day"] <= str(split)], rows[rows["day"] > str(split)]
    challenger = registry.load(given or fit_and_register(train, holdout))
    champion = registry.champion()
    names = {"champion": champion.version if champion else None, "challenger": challenger.version}
    if champion is not None and champion.version == challenger.version:
        return _report("held", reason="already champion", **names)
    metrics, why = compare(holdout, challenger, champion)
    if why:
        return _report("held", metrics=metrics, reason=why, **names)
    registry.promote(challenger.version)
    return _report("promoted", metrics=metrics, reason="a better Brier score", **names)


def examples(flights: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """Inputs, late and day of arrived flights, with the rates of the day before each."""
    weather = store.days("weather", first, last)
    records = weather.to_dict("records")
    at = {(r["day"], r["origin"], int(r["hour"])): {name: r[name] for name in store.READINGS} for r in records}
    miles, made = store.distances(), []
    for n in range((last - first).days + 1):
        day = first + n * DAY
        table = store.trailing(flights, day - DAY)
        rates = dict(zip(table["key"], table["late_rate"], strict=True))
        for r in flights[flights["day"] == str(day)].to_dict("records"):
            hour = int(r["sched_dep"][11:13])
            known = at.get((str(day), r["origin"], hour), {})
            row = store.features(r["carrier"], r["origin"], hour, miles.get((r["origin"], r["dest"])), known, rates)
            made.append({**row, "late": r["late"], "day": str(day)})
    return pd.DataFrame(made).astype({**dict.fromkeys(store.NUMBERS, float), "carrier": object, "origin": object})


def fit_and_register(train: pd.DataFrame, holdout: pd.DataFrame) -> str:
    """Boosted trees as a registered, tagged version."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    trees = HistGradientBoostingClassifier(
        learning_rate=0.1, max_iter=60, max_leaf_nodes=15, categorical_features=[0, 1], random_state=0
    )
    prepare = make_column_transformer((codes, ["carrier", "origin"]), remainder="passthrough")
    model = make_pipeline(prepare, trees).fit(train[store.INPUTS], train["late"])
    score = brier(holdout, model.predict_proba(holdout[store.INPUTS])[:, 1]).mean()
    tags = {
        "data_digest": hashlib.sha256(train.to_json(orient="records").encode()).hexdigest(),
        "code_digest": hashlib.sha256(
            b"".join(p.read_bytes() for p in sorted(Path(__file__).parent.glob("*.py")))
        ).hexdigest(),
        **dict(zip(("train_from", "train_to"), (train["day"].min(), train["day"].max()), strict=True)),
        **dict(zip(("holdout_from", "holdout_to"), (holdout["day"].min(), holdout["day"].max()), strict=True)),
        "metric": "brier",
        "metric_value": f"{score:.6f}",
    }
    columns = [
        ColSpec("double" if n in store.NUMBERS else "string", n, required=n not in store.NUMBERS) for n in store.INPUTS
    ]
    mlflow.set_experiment(store.NAME)
    with mlflow.start_run(tags=tags):
        mlflow.log_metric("brier", score)
        logged = mlflow.sklearn.log_model(
            model,
            name="trees",
            registered_model_name=store.NAME,
            signature=ModelSignature(Schema(columns)),
            pip_requirements=["scikit-learn", "skops", "pandas"],
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=TRUSTED,
        )
    version = str(logged.registered_model_version)
    for key, value in tags.items():
        mlflow.MlflowClient().set_model_version_tag(store.NAME, version, key, value)
    return version


def compare(
    holdout: pd.DataFrame, challenger: registry.Model, champion: registry.Model | None
) -> tuple[dict[str, float], str]:
    """Metrics, and why the challenger is held back ("" when it is not)."""
    rows = holdout[store.INPUTS]
    new = brier(holdout, np.array(challenger.risks(rows)))
    base = brier(holdout, np.full(len(rows), holdout["late"].mean()))
    metrics = {"brier": float(new.mean()), "brier_of_base_rate": float(base.mean())}
    if not np.isfinite(new).all() or new.mean() >= base.mean():
        return metrics, "no better than the same answer for all"
    if champion is None:
        return metrics, ""
    old = brier(holdout, np.array(champion.risks(rows)))
    gain = old - new
    z = gain.mean() / (gain.std() / np.sqrt(len(gain)) + 1e-12)
    metrics |= {"champion_brier": float(old.mean()), "z": float(z)}
    less = log_loss(holdout["late"], champion.risks(rows)) - log_loss(holdout["late"], challenger.risks(rows))
    enough = z > SURE_Z and less > LEAST_GAIN
    return metrics, "" if enough else f"no clear gain (log loss {less:.4f}, z {z:.1f})"


def brier(rows: pd.DataFrame, p: np.ndarray) -> np.ndarray:
    """Squared error of each answer."""
    return (rows["late"].to_numpy() - p) ** 2


def _report(decision: str, champion: str | None = None, challenger: str | None = None, **more: Any) -> dict[str, Any]:
    return {"decision": decision, "champion": champion, "challenger": challenger, "metrics": {}, "reason": "", **more}


if __name__ == "__main__":
    sys.exit(main())
