"""Answers to questions, the log of them, and corrections of those that were given on a wrong distance."""

import csv
import fcntl
import io
import os
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from delays import features, ingest, registry
from delays.config import Settings, log
from delays.features import Known, departure, model_frame, model_row

QUESTION = ["row_id", "carrier", "flight", "origin", "dest", "sched_dep"]
LOG_COLUMNS = [*QUESTION, "distance_mi", "p_late", "model_version", "scored_at", "supersedes"]
AHEAD = timedelta(days=7)  # flights asked about leave on the business date or so long after it
ROUNDING_MI = 0.1  # distances that differ by less are the same in two units

Question = Mapping[str, Any]
Answer = Mapping[str, Any]


def answer_rows(
    settings: Settings, rows: Sequence[Question], model: registry.Model, day: date, known: Known | None = None
) -> list[dict[str, Any]]:
    """What /predict answers to rows of QUESTION on business date `day`, in their order.

    `known` is what the table says, which is read where it is not given.
    """
    known = known or features.known(ingest.read(settings)[0], day)
    places = [(row["origin"], departure(row["sched_dep"])[0]) for row in rows]
    weather = features.forecasts(settings, set(places), day)
    inputs = [model_row(row, known, weather[place]) for row, place in zip(rows, places, strict=True)]
    version = {"name": registry.NAME, "version": model.version.number, "run_id": model.version.run_id}
    made_from = {"model": version, "feature_date": known.feature_date}
    risks = model.risks(model_frame(inputs)) if inputs else ()
    return [
        {"row_id": row["row_id"], "p_late": float(risk), **made_from, "features": given}
        for row, risk, given in zip(rows, risks, inputs, strict=True)
    ]


def append(
    settings: Settings, rows: Sequence[Question], answers: Sequence[Answer], day: date, supersedes: Sequence[str] = ()
) -> None:
    """Append answers to the log of `day` in one piece; the lock keeps the header first whichever worker comes first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row, said, corrected in zip(rows, answers, supersedes or [""] * len(rows), strict=True):
        given = (said["features"]["distance_mi"], said["p_late"], said["model"]["version"], day, corrected)
        writer.writerow((*(row[name] for name in QUESTION), *given))
    folder = settings.state / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{day}.csv").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        header = "" if os.fstat(file.fileno()).st_size else ",".join(LOG_COLUMNS) + "\n"
        file.write((header + text.getvalue()).encode())


def logged(settings: Settings, first: date, last: date) -> pd.DataFrame:
    """The log of the days from `first` to `last`: LOG_COLUMNS, text but for distance_mi and p_late."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    files = [path for day in days if (path := settings.state / "predictions" / f"{day}.csv").is_file()]
    read = [pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""]) for path in files]
    log_of_days = pd.concat([pd.DataFrame(columns=LOG_COLUMNS, dtype=str), *read], ignore_index=True)
    return log_of_days.astype({"distance_mi": float, "p_late": float})


def affected(settings: Settings, known: Known, day: date) -> pd.DataFrame:
    """Logged answers about flights that leave on `day` or later, given on another distance than serving has now.

    Those that were corrected already are left out; an answer that was asked for twice comes once.
    """
    rows = logged(settings, day - 2 * AHEAD, day)
    now = [known.distances.get(route, np.nan) for route in zip(rows["origin"], rows["dest"], strict=True)]
    differs = ((rows["distance_mi"] - now).abs() > ROUNDING_MI) | (rows["distance_mi"].isna() != np.isnan(now))
    ahead = rows["sched_dep"].str[:10] >= str(day)
    superseded = rows["row_id"].isin(rows["supersedes"].dropna())
    return rows[differs & ahead & ~superseded].drop_duplicates("row_id", keep="last")


def correct(settings: Settings, table: pd.DataFrame, day: date) -> int:
    """Answer affected rows again, by the champion, and append that to the log of `day`; returns how many."""
    known, champion = features.known(table, day), registry.champion()
    wrong = affected(settings, known, day)
    if wrong.empty or champion is None:
        return 0
    asked = wrong[QUESTION].astype({"flight": "int64"}).assign(row_id=wrong["row_id"] + f"+{day}")
    rows, model = asked.to_dict("records"), registry.load(champion, settings.scratch / "nightly")
    append(settings, rows, answer_rows(settings, rows, model, day, known), day, wrong["row_id"].tolist())
    log("corrected", date=day, answers=len(rows))
    return len(rows)
