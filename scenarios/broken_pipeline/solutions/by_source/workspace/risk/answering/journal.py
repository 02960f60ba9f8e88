"""The log of answers and its corrections.

A question is about the week from its business date on, so answers about flights yet to leave stand in the logs of the
last week, and only these are read.
"""

import csv
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from io import StringIO
from uuid import NAMESPACE_OID, uuid5

import pandas as pd
from risk.answering.known import Known, Row
from risk.base import STATE, append, days

QUESTION = ["row_id", "carrier", "flight", "origin", "dest", "sched_dep"]
COLUMNS = [*QUESTION, "distance_mi", "p_late", "model_version", "scored_at", "supersedes"]
FOLDER = STATE / "predictions"
OFF = 0.1
BACK = 9


def write(today: date, rows: Sequence[Row], answers: Sequence[Row]) -> None:
    """A line for each answer; `supersedes` of a row goes with it."""
    text = StringIO()
    lines = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    for row, said in zip(rows, answers, strict=True):
        lines.writerow(
            {
                **{name: row[name] for name in QUESTION},
                "distance_mi": said["features"]["distance_mi"],
                "p_late": said["p_late"],
                "model_version": said["model"]["version"],
                "scored_at": today,
                "supersedes": row.get("supersedes", ""),
            }
        )
    append(FOLDER / f"{today}.csv", text.getvalue(), ",".join(COLUMNS) + "\n")


def affected(today: date, about: Known) -> list[Row]:
    """Questions to answer anew: of flights from today on, logged with a distance that is not the route's now."""
    log = _read(today)
    log = log[[datetime.fromisoformat(text).date() >= today for text in log["sched_dep"]]].copy()
    if log.empty:
        return []
    now = [about.miles.get(route) for route in zip(log["origin"], log["dest"], strict=True)]
    log["now"] = pd.array(now, dtype="Float64")
    log["then"] = pd.to_numeric(log["distance_mi"].replace("", None)).astype("Float64")
    off = ((log["now"] - log["then"]).abs() > OFF).fillna(False) | (log["now"].isna() != log["then"].isna())
    question = log[QUESTION].agg("\n".join, axis=1)
    replaced = set(log[["supersedes", *QUESTION[1:]]].agg("\n".join, axis=1))
    chosen = log[off & ~question.isin(replaced)].drop_duplicates(QUESTION)
    return [_anew(row, today) for row in chosen[QUESTION].to_dict("records")]


def _anew(row: Row, today: date) -> Row:
    own = uuid5(NAMESPACE_OID, "\n".join([str(today), *row.values()]))
    return {**row, "flight": int(row["flight"]), "row_id": f"correction-{own.hex}", "supersedes": row["row_id"]}


def _read(today: date) -> pd.DataFrame:
    paths = [FOLDER / f"{day}.csv" for day in days(today - timedelta(BACK), today + timedelta(1))]
    kept = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths if path.is_file()]
    return pd.concat([pd.DataFrame(columns=COLUMNS, dtype=str), *kept], ignore_index=True)[COLUMNS]
