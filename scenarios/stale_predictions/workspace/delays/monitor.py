"""The monitor: windows of answers (batch), or the running service (--watch)."""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from delays import alerts, feeds
from delays.config import Settings, business_date, load, log
from delays.features import VALID_DAYS, newest_valid
from delays.frame import CATEGORIES, COLUMNS

FLIGHT = ["carrier", "flight", "origin", "dest", "sched_dep"]
LOG_FEATURES = ["carrier", "origin", "hour", "distance_mi"]
"""Features of a single day that are comparable with a season's snapshot: weather and rates never are."""

TAIL_BYTES = 2**20
LOOKS_APART_S = 600.0


@dataclass(frozen=True)
class Finding:
    """What is wrong: the alert's kind and subject, and a sentence with the figures."""

    kind: str
    subject: str
    text: str


def read_answers(source: Path | BytesIO, numbers: list[str]) -> pd.DataFrame:
    """A table of answers; what is no number in a number's column counts as missing."""
    frame = pd.read_csv(source, dtype=object, keep_default_na=False, na_values=[""])
    known = [name for name in numbers if name in frame]
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in known})


def drifted(window: pd.DataFrame, snapshot: pd.DataFrame, columns: list[str], limits: dict[str, Any]) -> list[Finding]:
    """Columns whose values or missing share are not the snapshot's. A column that is not there is missing."""
    # Imported here: it takes seconds and 200 MB, which the watch does not need between looks.
    from evidently.legacy.calculations.stattests import jensenshannon_stat_test, wasserstein_stat_test

    window = window.reindex(columns=columns)
    found = []
    for name in columns:
        missing = window[name].isna().mean() - snapshot[name].isna().mean()
        if abs(missing) > limits["missing_share"]:
            found.append(Finding("drift", name, f"share of missing values changed by {missing:+.2f}"))
            continue
        text = name in CATEGORIES
        test, kind = (jensenshannon_stat_test, "cat") if text else (wasserstein_stat_test, "num")
        limit = limits["category_distance" if text else "number_distance"]
        distance = test(snapshot[name].dropna(), window[name].dropna(), kind, limit).drift_score
        if not distance <= limit:
            found.append(Finding("drift", name, f"{test.name} distance {distance:.3f}, limit {limit}"))
    return found


def stale(window: pd.DataFrame, model_days: int) -> list[Finding]:
    """Answers from features older than VALID_DAYS or none, and from a model trained too long ago."""
    today = pd.to_datetime(window["business_date"])
    features = (today - pd.to_datetime(window["feature_date"], errors="coerce")).dt.days
    trained = (today - pd.to_datetime(window["model_train_to"], errors="coerce")).dt.days
    found = []
    if (old := int((~(features <= VALID_DAYS)).sum())) > 0:
        text = f"{old} of {len(window)} answers use features older than {VALID_DAYS} days or none"
        found.append(Finding("features_stale", "features", text))
    if (old := int((~(trained <= model_days)).sum())) > 0:
        version = str(window["model_version"].iloc[-1])
        text = f"the training of version {version} ended {trained.max()} days ago"
        found.append(Finding("model_stale", version, text))
    return found


def wrong(window: pd.DataFrame, limits: dict[str, Any]) -> list[Finding]:
    """Whether the labels say that answers are wrong: too high or low on the whole, or worse than a constant."""
    known = window.dropna(subset=["late", "p_late"])
    if len(known) < limits["quality_rows"]:
        return []
    risk, late = known["p_late"].clip(1e-6, 1 - 1e-6).to_numpy(), known["late"].to_numpy()
    gap, error = risk.mean() - late.mean(), np.sqrt((risk * (1 - risk)).mean() / len(risk))
    share = np.clip(late.mean(), 1e-6, 1 - 1e-6)
    lost = -np.where(late == 1, np.log(risk / share), np.log((1 - risk) / (1 - share)))
    if abs(gap) > max(limits["quality_floor"], 4 * error):
        return [Finding("quality", "p_late", f"mean risk {risk.mean():.3f}, share late {late.mean():.3f}")]
    if lost.mean() > max(0.02, 3 * lost.std() / np.sqrt(len(lost))):
        return [Finding("quality", "p_late", f"log loss is {lost.mean():.3f} worse than a constant's")]
    return []


def read_snapshot(settings: Settings) -> pd.DataFrame:
    """The pinned training snapshot."""
    numbers = [name for name in COLUMNS if name not in CATEGORIES]
    return read_answers(settings.root / "monitoring" / "snapshot.csv", numbers)


def look(settings: Settings, path: Path, snapshot: pd.DataFrame) -> list[Finding]:
    """Everything that is wrong with one window file."""
    window = read_answers(path, [name for name in [*COLUMNS, "p_late", "late"] if name not in CATEGORIES])
    drift = drifted(window, snapshot, COLUMNS, settings.monitor)
    return drift + stale(window, settings.monitor["model_days"]) + wrong(window, settings.monitor)


@dataclass
class Watch:
    """Looks at the running service; remembers what it needs from one look to the next."""

    settings: Settings
    looked: dict[str, float] = field(default_factory=dict)
    lagging: tuple[str, int] | None = None

    def once(self) -> None:
        """One look: freshness each time, drift and quality every LOOKS_APART_S or when the date has moved."""
        today = business_date(self.settings)
        path = self.settings.state / "predictions" / f"{today}.csv"
        answers = tail(path)
        findings = self.freshness(answers, path, today)
        flights = answers.drop_duplicates(FLIGHT) if len(answers) else answers  # however often one is asked about
        if len(flights) >= self.settings.monitor["drift_rows"] and self.due(f"drift {today}"):
            findings += self.drift(flights)
        if self.due(f"quality {today}"):
            findings += week_wrong(self.settings, today)
        for finding in findings:
            alerts.say(self.settings, finding.kind, finding.subject, finding.text, once=True)
        write_report(self.settings, today, answers, findings)

    def due(self, what: str) -> bool:
        """Whether something was not looked at for a while."""
        now = time.monotonic()
        if now - self.looked.get(what, -LOOKS_APART_S) < LOOKS_APART_S:
            return False
        self.looked[what] = now
        return True

    def freshness(self, answers: pd.DataFrame, path: Path, today: date) -> list[Finding]:
        """Stale features or model in the newest answers, and answers of another version than the champion."""
        from delays import registry  # slow to import, as is Evidently

        champion = registry.champion()
        if answers.empty or champion is None:
            return []
        newest = answers.tail(20)
        served = registry.version(str(newest["model_version"].iloc[-1]))
        newest = newest.assign(business_date=today, model_train_to=served.tags.get("train_to"))
        found = stale(newest, self.settings.monitor["model_days"])
        before, self.lagging = self.lagging, None
        if served.number != champion.number:  # said when it is still so at the next look, in newer answers
            self.lagging = (champion.number, path.stat().st_size)
            if before is not None and before[0] == champion.number and before[1] < self.lagging[1]:
                text = f"version {served.number} is served, the champion is {champion.number}"
                found.append(Finding("model_stale", f"version {served.number}", text))
        return found

    def drift(self, answers: pd.DataFrame) -> list[Finding]:
        """Drift of the day's answers; in a process of its own, which gives its memory back."""
        hours = pd.to_numeric(answers["sched_dep"].str[11:13], errors="coerce")
        window = answers.assign(hour=hours).merge(feeds.read_routes(self.settings.root), how="left")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            job = pool.submit(drifted, window, read_snapshot(self.settings), LOG_FEATURES, self.settings.monitor)
            return job.result(timeout=120)


def tail(path: Path) -> pd.DataFrame:
    """The newest answers of a log, at most TAIL_BYTES of them; an empty table where there is none."""
    try:
        with path.open("rb") as file:
            header = file.readline()
            start = max(len(header), path.stat().st_size - TAIL_BYTES)
            file.seek(start)
            cut = file.read().split(b"\n", 1 if start > len(header) else 0)[-1]
    except FileNotFoundError:
        return pd.DataFrame()
    return read_answers(BytesIO(header + cut), ["p_late"])


def week_wrong(settings: Settings, today: date) -> list[Finding]:
    """Served risks of the last seven days against their labels.

    Days differ more than flights do, so the error of the mean is taken over days.
    """
    days = []
    for day in (today - timedelta(days=n) for n in range(1, 8)):
        try:
            served = read_answers(settings.state / "predictions" / f"{day}.csv", ["p_late"])
            labels = feeds.read_arrivals(settings.root, day)
            joined = served.drop_duplicates(FLIGHT, keep="last").merge(labels, on=FLIGHT)
            days.append(float((joined["p_late"] - joined["late"]).mean()))
        except (OSError, feeds.DataRefused) as error:
            log("day_not_judged", day=day, reason=error)
    gaps = np.array([gap for gap in days if np.isfinite(gap)])
    if len(gaps) < 4:
        return []
    error = gaps.std(ddof=1) / np.sqrt(len(gaps))
    if abs(gaps.mean()) <= max(settings.monitor["quality_floor"], 3 * error):
        return []
    text = f"risks of the last {len(gaps)} days are off by {gaps.mean():+.3f} on average"
    return [Finding("quality", "p_late", text)]


def write_report(settings: Settings, today: date, answers: pd.DataFrame, findings: list[Finding]) -> None:
    """Write state/monitor/<date>.md for people."""
    partition = newest_valid(settings.root, today)
    lines = [f"# Monitor, {today}", "", f"- features of {partition.date if partition else 'no valid day'}"]
    if not answers.empty:
        versions = answers["model_version"].value_counts().to_dict()
        lines += [f"- newest answers: {len(answers)}, mean risk {answers['p_late'].mean():.3f}, versions {versions}"]
    lines += ["", "| kind | subject | what |", "| --- | --- | --- |"]
    lines += [f"| {finding.kind} | {finding.subject} | {finding.text} |" for finding in findings]
    path = settings.state / "monitor" / f"{today}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def watch(settings: Settings) -> None:
    """Look again and again; what a look cannot do is said, and the next one tries again."""
    looks = Watch(settings)
    while True:
        try:
            looks.once()
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
    snapshot = read_snapshot(settings)
    for path, name in zip(args.window, args.id, strict=True):
        findings = look(settings, path, snapshot)
        for finding in findings:
            alerts.say(settings, finding.kind, finding.subject, finding.text, window_id=name)
        log("window", id=name, findings=len(findings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
