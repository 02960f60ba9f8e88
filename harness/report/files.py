"""The plain files of a report: result.json, and scores.csv with a line for each run."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from harness.errors import UsageError
from harness.model import RunRecord, Skill
from harness.report.numbers import figure
from harness.report.page import late
from harness.report.points import SkillPoints, skills
from harness.text import one_line

MAX_CELL = 300


def record_json(record: RunRecord) -> str:
    """The record as ASCII JSON: control and direction characters stand in it as escapes, and NaN as null."""
    return json.dumps(_plain_data(record.model_dump()), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def read_record(path: Path) -> RunRecord:
    """Read a result.json again. Raises UsageError when it is none."""
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise UsageError(f"{path} is not a result.json of this version: {one_line(str(exc), 200)}") from exc


def _plain_data(value: object) -> object:
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain_data(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return value.isoformat() if isinstance(value, date) else _text(str(value))


def _text(value: str) -> str:
    """Lone surrogates replaced: JSON with them in cannot be read back."""
    return value.encode("utf-8", "replace").decode("utf-8")


def scores_csv(records: Iterable[RunRecord], path: Path) -> None:
    """Write a line for each record. A cell that a spreadsheet would take for a formula begins with a quote.

    Skills that were not examined are empty. Quoting follows OWASP ASVS 1.2.10 (= + - @ tab NUL) and CR.
    """
    rows = [_row(record) for record in records]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=_COLUMNS, quoting=csv.QUOTE_MINIMAL)
        writer.writeheader()
        writer.writerows(rows)


_COLUMNS = (
    "scenario",
    "seed",
    "attempt",
    "started_at",
    "score_low",
    "score_high",
    "complete",
    *(skill.value for skill in Skill),
    "minutes_used",
    "minutes_allowed",
    "late",
    "runtime",
    "certifiable",
    "grader",
    "submission_sha256",
)


def _row(record: RunRecord) -> dict[str, str]:
    texts = {
        "scenario": record.scenario,
        "attempt": record.attempt,
        "started_at": record.started_at,
        "runtime": record.runtime,
        "grader": record.versions.get("grader", ""),
        "submission_sha256": record.submission_sha256,
    }
    row = {name: _cell(value) for name, value in texts.items()}
    row |= {
        "seed": str(record.seed),
        "score_low": figure(record.score.low),
        "score_high": figure(record.score.high),
        "complete": _yes(record.score.complete),
        "certifiable": _yes(record.certifiable),
        "minutes_used": f"{record.minutes_used:.1f}",
        "minutes_allowed": f"{record.minutes_allowed:g}",
        "late": _yes(late(record)),
    }
    return row | {item.skill.value: _skill(item) for item in skills(record.score)}


def _skill(item: SkillPoints) -> str:
    if not item.examined:
        return ""
    low, high = figure(item.points.low), figure(item.points.high)
    # Written out: a spreadsheet may take a dash for a minus, and 3-5 for a day.
    return f"{low if low == high else f'{low} to {high}'} of {figure(item.points.possible)}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _cell(value: str) -> str:
    # Looked at before cleaning too: a leading NUL or tab would be gone afterwards and leave the formula bare.
    clean = one_line(value, MAX_CELL)
    return "'" + clean if value[:1] in set("=+-@\t\0\r\n") or clean[:1] in set("=+-@") else clean
