"""Looks at windows of answers (Kolmogorov-Smirnov and shares against the snapshot), or watches the running stack."""

import argparse
import json
import sys
import time
from datetime import date, timedelta

import numpy as np
import pandas as pd
from riskserver import inputs, models
from riskserver.places import SNAPSHOT, STATE, alert, today
from scipy.stats import ks_2samp

APART = 0.115
"""Largest distance of distributions: 500 clean rows against 5000 exceed it about once in 100,000."""
CODES_APART = 0.15
MISSING_APART = 0.1
MODEL_DAYS = 45
SIGMAS = 4.5
WATCH_S = 10.0


def main() -> int:
    """Windows in pairs with their ids, or --watch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--window", action="append", default=[])
    parser.add_argument("--id", action="append", default=[])
    args = parser.parse_args()
    if args.watch:
        watch()
    snapshot = _read(SNAPSHOT)
    for name, window_id in zip(args.window, args.id, strict=True):
        for kind, subject, detail in problems(_read(name), snapshot):
            alert(kind, subject, detail, window_id)
    return 0


def problems(window: pd.DataFrame, snapshot: pd.DataFrame) -> list[tuple[str, str, str]]:
    """kind, subject and detail of everything wrong with a window."""
    found = [("drift", name, f"{d:.2f}") for name in inputs.INPUTS if (d := apart(window[name], snapshot[name])) > 1]
    business = pd.to_datetime(window["business_date"])
    age = (business - pd.to_datetime(window["feature_date"])).dt.days
    if (age.isna() | (age > inputs.VALID)).any():
        found.append(("features_stale", "features", f"oldest {age.max()} days, none in {age.isna().sum()}"))
    model_age = (business - pd.to_datetime(window["model_train_to"])).dt.days
    if (model_age > MODEL_DAYS).any():
        found.append(("model_stale", "model", f"trained up to {model_age.max()} days ago"))
    known = window.dropna(subset=["late", "p_late"]).astype({"late": float, "p_late": float})
    if len(known) and (sigmas := miscalibration(known["late"].to_numpy(), known["p_late"].to_numpy())) > SIGMAS:
        found.append(("quality", "p_late", f"{sigmas:.1f} standard errors from what was said"))
    return found


def apart(now: pd.Series, then: pd.Series) -> float:
    """How far two columns are apart, in units of what is too far."""
    missing = abs(now.isna().mean() - then.isna().mean()) / MISSING_APART
    now, then = now.dropna(), then.dropna()
    if now.empty or then.empty:
        return float(missing)
    if now.name in inputs.TEXTS:
        shares = pd.concat([now.value_counts(normalize=True), then.value_counts(normalize=True)], axis=1).fillna(0)
        return float(max(missing, shares.diff(axis=1).iloc[:, 1].abs().sum() / 2 / CODES_APART))
    return float(max(missing, ks_2samp(now.astype(float), then.astype(float)).statistic / APART))


def miscalibration(late: np.ndarray, p: np.ndarray) -> float:
    """The larger of two tests: are as many late as was said, and are they those of which it was said."""
    spread = p * (1 - p)
    total = (late - p).sum() / np.sqrt(spread.sum())
    centred = p - p.mean()
    slope = ((late - p) * centred).sum() / np.sqrt(max((spread * centred**2).sum(), 1e-12))
    return float(max(abs(total), abs(slope)))


def watch() -> None:
    """Say once a business date what is stale in the running stack."""
    said: set[tuple[date, str]] = set()
    while True:
        try:
            day = today()
            for kind, detail in _stale(day):
                if (day, kind) not in said:
                    alert(kind, kind.split("_")[0], detail)
                    said.add((day, kind))
            if inputs.current_partition(day) is not None:
                said.discard((day, "features_expired"))
        except Exception as error:  # noqa: BLE001 - a watch that ends sees nothing
            print(json.dumps({"watch": repr(error)}), flush=True)
        time.sleep(WATCH_S)


def _stale(day: date) -> list[tuple[str, str]]:
    found = []
    if inputs.current_partition(day) is None:
        found.append(("features_expired", f"no valid partition on {day}"))
    champion = models.alias()
    trained = (champion.tags or {}).get("train_to") if champion else None
    if trained and date.fromisoformat(trained) < day - timedelta(days=MODEL_DAYS):
        found.append(("model_stale", f"the champion was trained up to {trained}"))
    if not (STATE / "nightly" / f"{day - timedelta(days=1)}.json").exists():
        found.append(("nightly_failed", "last night left no report"))
    return found


def _read(path: str) -> pd.DataFrame:
    texts = {"carrier": str, "origin": str, "model_version": str}
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])


if __name__ == "__main__":
    sys.exit(main())
