"""bin/monitor: windows of answers against the pinned snapshot, or --watch for the stack itself."""

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from risk.base import CODES, INPUTS, ROOT, STATE, alert, tell, today
from risk.learning import versions
from scipy.stats import wasserstein_distance

FAR = 0.25
"""Wasserstein distance in standard deviations of the snapshot."""
SHARES = 0.13
"""Half the sum of the differences of shares of codes."""
MORE_MISSING = 0.10
OLD = timedelta(45)
SIGMAS = 4.5
LEAST_LABELS = 80
LOOK_S = 15.0
TEXTS = dict.fromkeys([*CODES, "model_version", "model_train_to", "business_date"], str)


class Problem(NamedTuple):
    """An alert to be."""

    kind: str
    subject: str
    text: str


def main() -> int:
    """--watch, or windows in pairs with ids."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--window", action="append", default=[])
    parser.add_argument("--id", action="append", default=[])
    args = parser.parse_args()
    if args.watch:
        watch()
    snapshot = _read(ROOT / "monitoring" / "snapshot.csv")
    for path, name in zip(args.window, args.id, strict=True):
        window = _read(path)
        for problem in [*columns(window, snapshot), *old_model(window), *wrong_answers(window)]:
            alert(*problem, window=name)
    return 0


def _read(path: object) -> pd.DataFrame:
    return pd.read_csv(path, dtype=TEXTS, keep_default_na=False, na_values=[""])


def columns(window: pd.DataFrame, snapshot: pd.DataFrame) -> Iterator[Problem]:
    """Missing values first, and the values that are there for themselves."""
    for name in INPUTS:
        now, then = window[name], snapshot[name]
        more = now.isna().mean() - then.isna().mean()
        if more > MORE_MISSING:
            yield Problem("nulls", name, f"{more:.0%} more are missing than in the snapshot")
        now, then = now.dropna(), then.dropna()
        if now.empty or then.empty:
            continue
        far = _shares(now, then) / SHARES if name in CODES else _distance(now, then) / FAR
        if far > 1:
            yield Problem("drift", name, f"{far:.1f} times as far from the snapshot as is allowed")


def _shares(now: pd.Series, then: pd.Series) -> float:
    both = pd.concat([each.value_counts(normalize=True) for each in (now, then)], axis=1).fillna(0.0)
    return float((both.iloc[:, 0] - both.iloc[:, 1]).abs().sum() / 2)


def _distance(now: pd.Series, then: pd.Series) -> float:
    return float(wasserstein_distance(now, then) / max(then.std(), 1e-6 * max(1.0, abs(then.mean()))))


def old_model(window: pd.DataFrame) -> Iterator[Problem]:
    """Trained too long before it answered."""
    age = pd.to_datetime(window["business_date"]) - pd.to_datetime(window["model_train_to"])
    if (age > OLD).any():
        yield Problem("model_stale", "model", f"training ended {age.max().days} days before the business date")


def wrong_answers(window: pd.DataFrame) -> Iterator[Problem]:
    """The loss is not what these risks promise, or the number of late flights is not, nor whom they were said of."""
    known = window[window["late"].notna() & window["p_late"].notna()]
    if len(known) < LEAST_LABELS:
        return
    late, p = known["late"].to_numpy(float), np.clip(known["p_late"].to_numpy(float), 1e-4, 1 - 1e-4)
    odds, spread = np.log(p / (1 - p)), p * (1 - p)
    surprise = {
        "number": (late - p).sum() / np.sqrt(spread.sum()),
        "loss": ((p - late) * odds).sum() / np.sqrt((spread * odds**2).sum() + 1e-9),
    }
    centred = odds - np.average(odds, weights=spread)
    surprise["order"] = ((late - p) * centred).sum() / np.sqrt((spread * centred**2).sum() + 1e-9)
    worst = max(surprise, key=lambda name: abs(surprise[name]))
    if abs(surprise[worst]) > SIGMAS:
        yield Problem("quality", "p_late", f"{worst}: {surprise[worst]:.1f} standard errors off")


def watch() -> None:
    """Each problem once a business date."""
    said: set[tuple[date, str]] = set()
    while True:
        try:
            day = today()
            for problem in stack(day):
                if (day, problem.kind) not in said:
                    alert(*problem)
                    said.add((day, problem.kind))
        except Exception as error:  # noqa: BLE001 - a watch that ends sees nothing
            tell(event="cannot_watch", error=repr(error))
        time.sleep(LOOK_S)


def stack(day: date) -> Iterator[Problem]:
    """An old champion, and nights that left no report."""
    champion = versions.under("champion")
    trained = (champion.tags or {}).get("train_to") if champion else None
    if trained and date.fromisoformat(trained) < day - OLD:
        yield Problem("model_stale", "model", f"version {champion.version} was trained up to {trained}")
    nights = STATE / "nightly"
    if nights.is_dir() and not any((nights / f"{day - timedelta(n)}.json").is_file() for n in (0, 1)):
        yield Problem("nightly_failed", "nightly", f"no report of the nights of {day} and the day before")


if __name__ == "__main__":
    sys.exit(main())
