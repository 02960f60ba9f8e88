"""What the story left behind: the log of predictions, nightly reports and alerts, by what the faults did.

Every p_late is what the named version answers for the flight with the rates of the named partition; history.py has
put the log odds of every version into private/, so that nothing is trained or loaded here.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.model import Site, Variant

from .nights import Outcome, since, walk

VALID_DAYS = 3
RATES = {"carrier_late_rate": "carrier", "origin_late_rate": "origin"}
FLIGHT = ["carrier", "flight", "origin", "dest"]
LOG_COLUMNS = ["row_id", *FLIGHT, "sched_dep", "p_late", "model_version", "feature_date", "scored_at"]
ANSWER = ["p_late", "model_version", "feature_date"]


@dataclass(frozen=True)
class Told:
    """What the log is made from: answers (private/answers.parquet), log odds, slopes, rates by day, outcomes."""

    answers: pd.DataFrame
    odds: pd.DataFrame
    slopes: Mapping[str, Mapping[str, Mapping[str, float]]]
    rates: Mapping[str, Mapping[str, float]]
    outcomes: Sequence[Outcome]


def finish(variant: Variant, site: Site) -> None:
    """Write state/predictions/*.csv, state/nightly/*.json and state/alerts.jsonl by `site.story`.

    Without any key the story is healthy: each day is answered by that day's champion with the newest valid partition;
    five nights in a row and one more were refused for want of a feed (`values`: outage, gap), which left three days
    with expired features. Faults set these keys; a part is a mapping whose `from` (ISO) is its first bad day, or True
    for always:

    served_version      {"from", "version"}: that version answers, whatever the champion is
    mixed_versions      {"from", "old", "share"}: a share of the answers comes from the version `old`
    feature_lag         {"from", "days"}: the newest partition at least so many days old;
                        {"from", "partition"}: always that one. Neither expires
    features_outage     {"from", "days"}: replaces the nights of the natural outage; False: there was none
    expired_accepted    True: partitions older than three days are used on, and nobody is told
    repeat_answers      {"from", "days", "share"}: a share of the flights asked about again within so many days gets the
                        answer of the first time; "keep" (optional) names the columns that are repeated
    swallowed           {"day"}: from that night on a refused night says "held", and its partition is a copy of the
                        one before
    promotions_ignored  True or {"from"}: reports say promoted, the aliases stay
    gate_always         True or {"from", "reason"}: every version is promoted
    no_lineage          {"from", "columns"}: the log's columns are empty (default: model_version)
    no_alerts           {"from", "kinds"}: no alerts of these kinds (default: of any)

    The aliases in the registry are the fault's to set: `ending` says what the story makes of them.
    Raises OSError or KeyError when the site was not laid out.
    """
    told = _read(site)
    state = site.workspace / "state"
    shutil.rmtree(state / "predictions", ignore_errors=True)
    shutil.rmtree(state / "nightly", ignore_errors=True)
    _write_log(state / "predictions", _log(told, site.story, variant.values))
    _write_reports(state / "nightly", told.outcomes, site.story)
    _write_alerts(state / "alerts.jsonl", told, site.story)
    if "swallowed" in site.story:
        _copy_partitions(site.workspace / "features", told.outcomes)


def ending(site: Site) -> tuple[str | None, str | None]:
    """Champion and previous as the story (with what the faults have said so far) leaves them."""
    last = walk(_nights(site), site.story)[-1]
    return last.champion, last.previous


def version_of_month(site: Site, month: int) -> dict[str, Any]:
    """The record of the first version made in a month of the story: version, story_date, train_from, train_to, ...

    Raises KeyError when no version was made in that month.
    """
    for record in _history(site)["versions"]:
        if date.fromisoformat(record["story_date"]).month == month:
            return dict(record)
    raise KeyError(f"no version was made in month {month}")


def daily(site: Site) -> pd.DataFrame:
    """The delivered log by day, for symptoms.

    Index: business date (ISO). Columns: answers, mean_risk, versions (how many), version (the most frequent, ""
    where none), lag_days (business date minus feature date, the largest), null_dates (share), repeats (share of
    answers whose p_late equals the last one of the same flight).
    """
    files = sorted((site.workspace / "state" / "predictions").glob("*.csv"))
    log = pd.concat([pd.read_csv(path, dtype=str, keep_default_na=False) for path in files], ignore_index=True)
    log["risk"] = log["p_late"].astype(float)
    made = pd.to_datetime(log["feature_date"], errors="coerce")
    log["lag"] = (pd.to_datetime(log["scored_at"]) - made).dt.days
    log["repeat"] = log.groupby(FLIGHT)["p_late"].shift() == log["p_late"]
    by_day = log.groupby("scored_at")
    return pd.DataFrame(
        {
            "answers": by_day.size(),
            "mean_risk": by_day["risk"].mean(),
            "versions": by_day["model_version"].nunique(),
            "version": by_day["model_version"].agg(lambda each: each.mode().iloc[0]),
            "lag_days": by_day["lag"].max(),
            "null_dates": by_day["lag"].agg(lambda each: each.isna().mean()),
            "repeats": by_day["repeat"].mean(),
        }
    )


def _history(site: Site) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((site.private / "history.json").read_text(encoding="utf-8"))
    return content


def _read(site: Site) -> Told:
    rates = pd.read_csv(site.private / "rates.csv", dtype={"key": str}, keep_default_na=False)
    answers = pd.read_parquet(site.private / "answers.parquet")
    answers["position"] = np.arange(len(answers))
    return Told(
        answers=answers,
        odds=pd.read_parquet(site.private / "scores.parquet"),
        slopes=json.loads((site.private / "slopes.json").read_text(encoding="utf-8")),
        rates={str(day): dict(zip(of.key, of.late_rate, strict=True)) for day, of in rates.groupby("date")},
        outcomes=walk(_nights(site), site.story),
    )


def _nights(site: Site) -> list[Mapping[str, Any]]:
    """The nights as the story wants them refused. A night that trained nothing can not be made to have trained."""
    nights: list[Mapping[str, Any]] = _history(site)["nights"]
    asked = site.story.get("features_outage", True)
    if asked is True:
        return nights
    gap = json.loads((site.private / "calendar.json").read_text(encoding="utf-8"))["gap"]
    refused = {gap}
    if asked:
        first = date.fromisoformat(asked["from"])
        refused |= {str(first + timedelta(days=n)) for n in range(asked["days"])}
    return [{**night, "refused": night["nightly"] and night["date"] in refused} for night in nights]


# --- the log ----------------------------------------------------------------------------------------------------------


def _log(told: Told, story: Mapping[str, Any], drawn: Mapping[str, Any]) -> pd.DataFrame:
    """All answers, in order, with LOG_COLUMNS."""
    rng = random.Random(f"{drawn['sample_seed']}/log")
    parts = []
    for day, rows in told.answers.groupby("date", sort=True):
        partition = _partition(str(day), told, story)
        asked = rows.assign(scored_at=day, feature_date=partition, model_version="")
        asked["model_version"] = [_version(str(day), told.outcomes, story, rng.random()) for _ in range(len(rows))]
        parts += [_answered(each, str(v), _rates(str(day), partition, told, story), told)
                  for v, each in asked.groupby("model_version", sort=True)]  # fmt: skip
    log = pd.concat(parts).sort_values("position", ignore_index=True)
    log = _repeated(log, story, rng)
    for edit in story.get("edits", ()):
        log = edit(log, told)
    return _without(log, story)[LOG_COLUMNS]


def _version(day: str, outcomes: Sequence[Outcome], story: Mapping[str, Any], luck: float) -> str:
    """The version that answers: the champion of the day, unless the story says otherwise."""
    if since(story, "mixed_versions", day) and luck < story["mixed_versions"]["share"]:
        return str(story["mixed_versions"]["old"])
    if since(story, "served_version", day):
        return str(story["served_version"]["version"])
    standing = [o.champion for o in outcomes if o.night["date"] <= day]
    return str(standing[-1])


def _partition(day: str, told: Told, story: Mapping[str, Any]) -> str | None:
    """The date of the partition that a day's answers use, None where features are expired."""
    lag = story["feature_lag"] if since(story, "feature_lag", day) else {}
    if "partition" in lag:
        return str(lag["partition"])
    today = date.fromisoformat(day)
    missing = _missing(day, told.outcomes)
    newest = today - timedelta(days=lag.get("days", 1))
    while str(newest) in missing:
        newest -= timedelta(days=1)
    expired = (today - newest).days > VALID_DAYS and not lag and not story.get("expired_accepted")
    return None if expired else str(newest)


def _missing(day: str, outcomes: Sequence[Outcome]) -> set[str]:
    """Partitions that a refused night did not make, as seen on a day: the next good night makes up for them."""
    missing: set[str] = set()
    for outcome in outcomes:
        if outcome.night["date"] > day:
            break
        if outcome.decision == "refused":
            missing.add(_before(outcome.night["date"]))
        elif outcome.night["nightly"]:
            missing.clear()
    return missing


def _before(day: str) -> str:
    return str(date.fromisoformat(day) - timedelta(days=1))


def _rates(day: str, partition: str | None, told: Told, story: Mapping[str, Any]) -> Mapping[str, float]:
    """What stood in the partition: where a refused night was swallowed, the rates of the one before."""
    if partition is None:
        return {}
    copied = {_before(o.night["date"]) for o in told.outcomes if o.night["refused"] and o.decision == "held"}
    while partition in copied:
        partition = _before(partition)
    return told.rates[partition]


def _answered(rows: pd.DataFrame, version: str, rates: Mapping[str, float], told: Told) -> pd.DataFrame:
    odds = told.odds[version].to_numpy()[rows["position"]]
    for column, name in RATES.items():
        slope = told.slopes[version][column]
        known = (name + ":" + rows[name]).map(rates).to_numpy(dtype=float)
        odds = odds + np.where(np.isnan(known), slope["missing"], np.nan_to_num(known) * slope["slope"])
    return rows.assign(p_late=np.round(1 / (1 + np.exp(-odds)), 6))


def _repeated(log: pd.DataFrame, story: Mapping[str, Any], rng: random.Random) -> pd.DataFrame:
    """Give a share of the flights that are asked about again the answer of the first time."""
    part = story.get("repeat_answers")
    if not part:
        return log
    columns = list(part.get("keep", ANSWER))
    kept: dict[tuple[Any, ...], tuple[date, int]] = {}
    source = list(range(len(log)))
    rows = log[[*FLIGHT, "scored_at"]].itertuples(index=False, name=None)
    for number, (*key, day) in enumerate(rows):
        today = date.fromisoformat(day)
        first, at = kept.get(tuple(key), (date.min, number))
        if (today - first).days <= part["days"] and day >= part["from"] and rng.random() < part["share"]:
            source[number] = at
        elif (today - first).days > part["days"]:
            kept[tuple(key)] = (today, number)
    return log.assign(**{name: log[name].to_numpy()[source] for name in columns})


def _without(log: pd.DataFrame, story: Mapping[str, Any]) -> pd.DataFrame:
    part = story.get("no_lineage")
    if not part:
        return log
    bad = log["scored_at"] >= part.get("from", "")
    return log.assign(**{name: log[name].mask(bad) for name in part.get("columns", ["model_version"])})


def _write_log(folder: Path, log: pd.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for day, rows in log.groupby("scored_at", sort=True):
        rows.to_csv(folder / f"{day}.csv", index=False, lineterminator="\n")


# --- reports, alerts, partitions --------------------------------------------------------------------------------------


def _write_reports(folder: Path, outcomes: Sequence[Outcome], story: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for outcome in outcomes:
        if outcome.night["nightly"]:
            path = folder / f"{outcome.night['date']}.json"
            path.write_text(json.dumps(_report(outcome, story), indent=1) + "\n", encoding="utf-8")


def _report(outcome: Outcome, story: Mapping[str, Any]) -> dict[str, Any]:
    night, made = outcome.night, _decision(outcome)
    reason = made["reason"]
    if outcome.decision == "refused":
        reason = _why(night["date"])
    elif outcome.decision == "promoted" and not made.get("promote"):
        part = story["gate_always"]
        reason = part.get("reason", "passed") if isinstance(part, Mapping) else "passed"
    return {
        "decision": outcome.decision,
        "champion": None if outcome.decision == "refused" else outcome.standing,
        "challenger": outcome.challenger,
        "metrics": {name: round(value, 6) for name, value in made["metrics"].items()},
        "reason": reason,
    }


def _decision(outcome: Outcome) -> dict[str, Any]:
    if outcome.challenger is None:
        return {"reason": "nothing new to compare", "metrics": {}}
    return dict(outcome.night["decisions"][outcome.standing or ""])


def _why(night: str) -> str:
    return f"arrivals: feeds/arrivals/{_before(night)}.csv is missing"


def _write_alerts(path: Path, told: Told, story: Mapping[str, Any]) -> None:
    lines = []
    for outcome in told.outcomes:
        day = str(outcome.night["date"])
        if outcome.decision == "refused":
            lines.append(_alert(day, "source_missing", "arrivals", _why(day)))
        if outcome.night["nightly"] and _partition(day, told, story) is None:
            lines.append(_alert(day, "features_expired", "features", f"no valid partition on {day}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    said = [json.dumps(line) + "\n" for line in lines if not _silent(line, story)]
    path.write_text("".join(said), encoding="utf-8")


def _alert(day: str, kind: str, subject: str, text: str) -> dict[str, Any]:
    name = hashlib.sha256(f"{day}:{kind}:{subject}".encode()).hexdigest()[:32]
    known = {"id": name, "kind": kind, "subject": subject, "window_id": None}
    return {**known, "business_date": day, "text": text}


def _silent(alert: Mapping[str, Any], story: Mapping[str, Any]) -> bool:
    if not since(story, "no_alerts", alert["business_date"]):
        return False
    part = story["no_alerts"]
    return not isinstance(part, Mapping) or alert["kind"] in part.get("kinds", [alert["kind"]])


def _copy_partitions(features: Path, outcomes: Sequence[Outcome]) -> None:
    """What a swallowed night left: the partition of the day is a copy of the one before."""
    for outcome in outcomes:
        if outcome.night["refused"] and outcome.decision == "held":
            day = _before(outcome.night["date"])
            shutil.rmtree(features / f"date={day}", ignore_errors=True)
            shutil.copytree(features / f"date={_before(day)}", features / f"date={day}")
