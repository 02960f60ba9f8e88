"""bin/monitor: Wasserstein distances and shares against the snapshot for windows; --watch for the running stack."""

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd
from app import registry, store
from scipy.stats import wasserstein_distance

SPREADS = 0.25
"""Distance in standard deviations of the snapshot (at least in tenths of its mean)."""
SHARES = 0.12
MISSING = 0.12
MODEL_DAYS = 45
LOSS_Z = 4.0


def main() -> None:
    """--watch, or windows with ids."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--window", nargs=1, action="extend", default=[])
    parser.add_argument("--id", nargs=1, action="extend", default=[])
    args = parser.parse_args()
    if args.watch:
        watch()
    reference = read(str(store.ROOT / "monitoring" / "snapshot.csv"))
    for path, name in zip(args.window, args.id, strict=True):
        window = read(path)
        for kind, subject, why in [*drifts(window, reference), *stale(window), *wrong(window)]:
            store.alert(kind, subject, why, name)


def read(path: str) -> pd.DataFrame:
    """A window or the snapshot."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"carrier": str, "origin": str})


def drifts(window: pd.DataFrame, reference: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Columns that are not distributed as in the snapshot."""
    for name in store.INPUTS:
        now, then = window[name], reference[name]
        gap = abs(now.isna().mean() - then.isna().mean())
        if gap > MISSING:
            yield "drift", name, f"share of missing values differs by {gap:.2f}"
        elif name not in store.NUMBERS:
            both = pd.DataFrame({"now": now.value_counts(normalize=True), "then": then.value_counts(normalize=True)})
            apart = float((both.fillna(0)["now"] - both.fillna(0)["then"]).abs().sum() / 2)
            if apart > SHARES:
                yield "drift", name, f"shares differ by {apart:.2f}"
        elif (apart := distance(now.dropna(), then.dropna())) > SPREADS:
            yield "drift", name, f"{apart:.2f} standard deviations apart"


def distance(now: pd.Series, then: pd.Series) -> float:
    """Wasserstein distance in standard deviations of the reference."""
    if now.empty or then.empty:
        return 0.0
    return float(wasserstein_distance(now, then) / max(then.std(), 1e-9))


def stale(window: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Old features and old models among the answers."""
    today = window["business_date"].map(date.fromisoformat)
    days = [
        (now - date.fromisoformat(day)).days if isinstance(day, str) else None
        for now, day in zip(today, window["feature_date"], strict=True)
    ]
    old = [day for day in days if day is None or day > store.VALID_DAYS]
    if old:
        yield "features_stale", "features", f"{len(old)} of {len(days)} answers"
    ages = [(now - date.fromisoformat(day)).days for now, day in zip(today, window["model_train_to"], strict=True)]
    if max(ages) > MODEL_DAYS:
        yield "model_stale", "model", f"trained {max(ages)} days before"


def wrong(window: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Losses that risks like these would hardly have if they were right."""
    known = window.dropna(subset=["late"])
    if known.empty:
        return
    p, late = np.clip(known["p_late"].to_numpy(float), 1e-4, 1 - 1e-4), known["late"].to_numpy(float)
    said = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    spread = p * (1 - p) * np.log(p / (1 - p)) ** 2
    loss = -(late * np.log(p) + (1 - late) * np.log(1 - p))
    z = float((loss - said).sum() / np.sqrt(spread.sum() + 1e-9))
    count = float((late - p).sum() / np.sqrt((p * (1 - p)).sum()))
    if max(abs(z), abs(count)) > LOSS_Z:
        yield "quality", "p_late", f"loss {z:.1f}, count {count:.1f} standard errors off"


def watch() -> None:
    """Each business date's first sight of a problem is said."""
    said: set[tuple[str, str]] = set()
    while True:
        try:
            today = store.business_date()
            for kind, why in problems(today):
                if (kind, str(today)) not in said:
                    store.alert(kind, kind.split("_")[0], why)
                said.add((kind, str(today)))
            if store.newest_rates(today).day:
                said.discard(("features_expired", str(today)))
        except Exception as error:  # noqa: BLE001 - watching goes on
            print(f"cannot watch: {error!r}", flush=True)
        time.sleep(12)


def problems(today: date) -> Iterator[tuple[str, str]]:
    """What is wrong with the running stack."""
    if not store.newest_rates(today).day:
        yield "features_expired", f"nothing valid on {today}"
    champion = registry.entry()
    trained = champion.tags.get("train_to") if champion else None
    if trained and trained < str(today - timedelta(days=MODEL_DAYS)):
        yield "model_stale", f"version {champion.version} was trained up to {trained}"


if __name__ == "__main__":
    sys.exit(main())
