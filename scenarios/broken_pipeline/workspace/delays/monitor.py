"""The monitor: windows of answers (batch), or the running service (--watch)."""

import argparse
import sys
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from delays import answers, ingest
from delays.config import Settings, alert, business_date, load, log
from delays.features import CATEGORIES, INPUTS, LATE_AFTER_MIN

LOGGED = ["carrier", "origin", "hour", "distance_mi"]
"""Inputs of a single day that are comparable with a season's snapshot: weather and rates never are."""

SNAPSHOT = "monitoring/snapshot.csv"
LOOKS_APART_S = 600.0


@dataclass(frozen=True)
class Finding:
    """What is wrong: the alert's kind and subject, and a sentence with the figures."""

    kind: str
    subject: str
    text: str


def read_answers(path: Path) -> pd.DataFrame:
    """A table of answers; what is no number in a number's column counts as missing."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    numbers = [name for name in [*INPUTS, "p_late", "late"] if name in frame and name not in CATEGORIES]
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in numbers})


def drifted(window: pd.DataFrame, snapshot: pd.DataFrame, columns: list[str], limits: dict[str, Any]) -> list[Finding]:
    """Columns whose values are not the snapshot's, or that are missing more often. One not there is missing."""
    # Imported here: it takes seconds and 200 MB, which the watch does not need between looks.
    from evidently.legacy.calculations.stattests import jensenshannon_stat_test, wasserstein_stat_test

    found = []
    for name in columns:
        values = window[name] if name in window else pd.Series(np.nan, index=window.index)
        more = values.isna().mean() - snapshot[name].isna().mean()
        if more > limits["missing_share"]:
            found.append(Finding("nulls", name, f"missing in {more:.0%} of the rows more than in the snapshot"))
        if values.isna().all():
            continue
        text = name in CATEGORIES
        test, kind = (jensenshannon_stat_test, "cat") if text else (wasserstein_stat_test, "num")
        limit = limits["category_distance" if text else "number_distance"]
        distance = test(snapshot[name].dropna(), values.dropna(), kind, limit).drift_score
        if not distance <= limit:
            found.append(Finding("drift", name, f"{test.name} distance {distance:.3f}, limit {limit}"))
    return found


def stale(window: pd.DataFrame, model_days: int) -> list[Finding]:
    """Answers of a model whose training ended too long ago, or nobody knows when."""
    trained_to = pd.to_datetime(window["model_train_to"], errors="coerce")
    age = (pd.to_datetime(window["business_date"]) - trained_to).dt.days
    if (age <= model_days).all():
        return []
    version = str(window["model_version"].iloc[-1])
    return [Finding("model_stale", version, f"the training of version {version} ended {age.max()} days ago")]


def wrong(window: pd.DataFrame, limits: dict[str, Any]) -> list[Finding]:
    """Whether the labels say that answers are wrong: too high or low on the whole, or worse than a constant."""
    judged = window.dropna(subset=["late", "p_late"])
    if len(judged) < limits["quality_rows"]:
        return []
    risk, late = judged["p_late"].clip(1e-6, 1 - 1e-6).to_numpy(), judged["late"].to_numpy()
    gap, error = risk.mean() - late.mean(), np.sqrt((risk * (1 - risk)).mean() / len(risk))
    share = np.clip(late.mean(), 1e-6, 1 - 1e-6)
    lost = -np.where(late == 1, np.log(risk / share), np.log((1 - risk) / (1 - share)))
    if abs(gap) > max(limits["quality_floor"], 4 * error):
        return [Finding("quality", "p_late", f"mean risk {risk.mean():.3f}, share late {late.mean():.3f}")]
    if lost.mean() > max(0.02, 3 * lost.std() / np.sqrt(len(lost))):
        return [Finding("quality", "p_late", f"log loss is {lost.mean():.3f} worse than a constant's")]
    return []


def daily(settings: Settings, day: date) -> None:
    """Look at the running service: the answers of `day`, the champion, and the answers of the week before.

    Each finding is said once a day.
    """
    from delays import registry  # slow to import, as is Evidently

    champion, findings = registry.champion(), []
    if champion is not None:
        served = {"model_version": champion.number, "model_train_to": champion.tags.get("train_to")}
        findings += stale(pd.DataFrame([{**served, "business_date": str(day)}]), settings.monitor["model_days"])
    today = answers.logged(settings, day, day).drop_duplicates("row_id", keep="last")
    if len(today) >= settings.monitor["drift_rows"]:
        today["hour"] = today["sched_dep"].str[11:13].astype(float)
        findings += drifted(today, read_answers(settings.root / SNAPSHOT), LOGGED, settings.monitor)
    week = answers.logged(settings, day - timedelta(days=7), day - timedelta(days=1)).astype({"flight": "int64"})
    flown = ingest.read(settings)[0].dropna(subset=["arr_delay_min"])
    judged = week.merge(flown, on=["carrier", "flight", "origin", "dest", "sched_dep"])
    limits = {**settings.monitor, "quality_floor": settings.monitor["week_floor"]}
    findings += wrong(judged.assign(late=judged["arr_delay_min"] > LATE_AFTER_MIN), limits)
    for finding in findings:
        alert(settings, finding.kind, finding.subject, finding.text, day, once=True)


def watch(settings: Settings) -> None:
    """Look again and again; what a look cannot do is said, and the next one tries again."""
    looked: tuple[date | None, float] = (None, 0.0)
    while True:
        try:
            day, now = business_date(settings), time.monotonic()
            if day != looked[0] or now - looked[1] >= LOOKS_APART_S:
                daily(settings, day)
                looked = day, now
        except Exception as error:  # noqa: BLE001 - a monitor that dies of what it looks at sees nothing
            log("look_failed", reason=repr(error))
        time.sleep(settings.monitor["watch_s"])


def main() -> int:
    """Entry of bin/monitor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--window", type=Path, action="append", default=[])
    parser.add_argument("--id", action="append", default=[])
    args = parser.parse_args()
    settings = load()
    if args.watch:
        watch(settings)
    if len(args.window) != len(args.id):
        parser.error("--window and --id come in pairs")
    snapshot, today, limits = read_answers(settings.root / SNAPSHOT), business_date(settings), settings.monitor
    for path, name in zip(args.window, args.id, strict=True):
        window = read_answers(path)
        findings = (
            drifted(window, snapshot, INPUTS, limits) + stale(window, limits["model_days"]) + wrong(window, limits)
        )
        for finding in findings:
            alert(settings, finding.kind, finding.subject, finding.text, today, window_id=name)
        log("window", id=name, findings=len(findings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
