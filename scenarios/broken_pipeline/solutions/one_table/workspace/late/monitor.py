"""bin/monitor: windows against the snapshot, each column by what samples of the snapshot itself differ; --watch."""

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from late import models
from late.places import DAY, INPUTS, SNAPSHOT, STATE, alert, business_date, say

SAMPLES = 120
"""So many windows are drawn from the snapshot to learn by how much clean ones differ."""
BEYOND = 1.6
"""A window has drifted when it differs this many times as much as the worst of those samples, and at least LEAST."""
LEAST = 0.10
MISSING = 0.10
MISSING_SIGMAS = 5.0
MODEL_DAYS = 45
WRONG_SIGMAS = 4.5
WRONG_SHARE = 0.03
LABELS = 100
WATCH_S = 12.0

Found = Iterator[tuple[str, str, str]]


def main() -> int:
    """--watch, or windows with ids."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--window", action="append", default=[])
    parser.add_argument("--id", action="append", default=[])
    args = parser.parse_args()
    if args.watch:
        watch()
    snapshot = read(SNAPSHOT)
    limits: dict[int, dict[str, float]] = {}
    for path, name in zip(args.window, args.id, strict=True):
        window = read(path)
        if len(window) not in limits:
            limits[len(window)] = clean_limits(snapshot, len(window))
        for kind, subject, why in problems(window, snapshot, limits[len(window)]):
            alert(kind, subject, why, name)
    return 0


def read(path: Any) -> pd.DataFrame:
    """A window or the snapshot; only an empty field is missing."""
    texts = dict.fromkeys(("carrier", "origin", "model_version", "model_train_to", "business_date"), str)
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=texts)


def clean_limits(snapshot: pd.DataFrame, rows: int) -> dict[str, float]:
    """By column: how far windows of so many rows may be from the snapshot."""
    rng, limits = np.random.default_rng(3), {}
    for name in INPUTS:
        values = snapshot[name].dropna().to_numpy()
        size = min(rows, len(values))
        worst = max((apart(rng.choice(values, size), values) for _ in range(SAMPLES if size else 0)), default=1.0)
        limits[name] = max(BEYOND * worst, LEAST)
    return limits


def problems(window: pd.DataFrame, snapshot: pd.DataFrame, limits: dict[str, float]) -> Found:
    """kind, subject and reason of everything that is wrong with a window."""
    for name in INPUTS:
        now, then = window[name], snapshot[name]
        missing, usual = now.isna().mean(), then.isna().mean()
        spread = np.sqrt(max(usual * (1 - usual), 1e-4) / len(window))
        if missing - usual > max(MISSING, MISSING_SIGMAS * spread):
            yield "nulls", name, f"{missing:.0%} are missing, {usual:.0%} in the snapshot"
        if now.notna().any() and (far := apart(now.dropna().to_numpy(), then.dropna().to_numpy())) > limits[name]:
            yield "drift", name, f"{far:.2f} apart, clean windows stay below {limits[name]:.2f}"
    yield from stale(window)
    yield from wrong(window)


def apart(now: np.ndarray, then: np.ndarray) -> float:
    """Largest distance of two distribution functions; for codes, half the sum of the differences of shares."""
    if now.dtype == object:
        shares = [pd.Series(each).value_counts(normalize=True) for each in (now, then)]
        return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)
    now, then = np.sort(now), np.sort(then)
    both = np.concatenate([now, then])
    below = [np.searchsorted(each, both, side="right") / len(each) for each in (now, then)]
    return float(np.abs(below[0] - below[1]).max())


def stale(window: pd.DataFrame) -> Found:
    """Answers of a model that was trained long ago."""
    ages = (pd.to_datetime(window["business_date"]) - pd.to_datetime(window["model_train_to"])).dt.days
    if (ages > MODEL_DAYS).any():
        yield "model_stale", "model", f"trained up to {ages.max():.0f} days before"


def wrong(window: pd.DataFrame) -> Found:
    """Counts of late flights, over all and from low risks to high, that right answers would hardly have."""
    known = window.dropna(subset=["late", "p_late"]).astype({"late": float, "p_late": float})
    if len(known) < LABELS:
        return
    late, p = known["late"].to_numpy(), known["p_late"].to_numpy().clip(1e-4, 1 - 1e-4)
    weights = {"of all": np.ones(len(p)), "by risk": p - p.mean(), "by odds": np.log(p / (1 - p))}
    for name, weight in weights.items():
        off = (weight * (late - p)).sum()
        sigmas = off / np.sqrt((weight**2 * p * (1 - p)).sum() + 1e-9)
        share = abs(off) / (np.abs(weight).sum() + 1e-9)
        if abs(sigmas) > WRONG_SIGMAS and share > WRONG_SHARE:
            yield "quality", "p_late", f"{name}: {sigmas:.1f} standard errors from what was said"
            return


def watch() -> None:
    """Say once a business date what is wrong with the running stack."""
    said: set[tuple[date, str]] = set()
    while True:
        try:
            today = business_date()
            for kind, tell in looks(today):
                if (today, kind) not in said:
                    tell()
                    said.add((today, kind))
        except Exception as error:  # noqa: BLE001 - watching goes on
            say("cannot_watch", error=repr(error))
        time.sleep(WATCH_S)


def looks(today: date) -> Iterator[tuple[str, Any]]:
    """What is wrong, and how to say it."""
    entry = models.champion()
    tags = models.tags(entry.version) if entry else {}
    if entry and tags.get("train_to", str(today)) < str(today - MODEL_DAYS * DAY):
        why = f"version {entry.version} was trained up to {tags['train_to']}"
        yield "model_stale", partial(alert, "model_stale", "model", why)
    reports = sorted(path.stem for path in (STATE / "nightly").glob("*.json"))
    if reports and reports[-1] < str(today - DAY):
        why = f"the last night with a report is {reports[-1]}"
        yield "nightly_failed", partial(alert, "nightly_failed", "nightly", why)


if __name__ == "__main__":
    sys.exit(main())
