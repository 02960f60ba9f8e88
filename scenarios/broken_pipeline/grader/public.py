"""The public checks: a quick look at a live stack without hidden data. They say what they see, never why."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

from scenario_base import public as shared

from harness.errors import StackError
from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.http import ask

from .drills import corrections, tables
from .drills.inputs import INPUTS

SOURCE = "JFK"


def public(stack: Stack, workspace: Path) -> list[tuple[str, Finding]]:
    """Name and finding of each public check; at most some ten seconds. Nothing in the stack or workspace changes,
    but for questions that serving answers."""
    return shared.looked(
        (
            ("services are ready", lambda: shared.services(stack)),
            ("an answer keeps the contract", lambda: shared.inputs(_ask(stack, workspace), INPUTS)),
            ("a bad row is refused", lambda: shared.bad_row(stack, row(stack, workspace))),
            ("answers carry the registry's champion", lambda: shared.champion(stack, _ask(stack, workspace))),
            ("the table can be read", lambda: table(stack)),
            ("the log of answers can be read", lambda: log(stack)),
            ("/metrics answers", lambda: shared.metrics(stack)),
            ("state/alerts.jsonl can be read", lambda: shared.alerts(workspace)),
            ("diagnosis.toml makes claims", lambda: shared.diagnosis(workspace)),
            ("INCIDENT.md is there", lambda: shared.incident(workspace)),
        )
    )


def row(stack: Stack, workspace: Path) -> dict[str, Any]:
    """A question about a flight like one that was delivered for yesterday, a day ahead."""
    today = shared.business_date(stack)
    yesterday = today - timedelta(days=1)
    raw = shared.head(workspace / "feeds" / SOURCE / str(yesterday) / "1.flights.csv")
    line = next(iter(csv.DictReader(io.StringIO(raw))), None)
    if line is None:
        raise OSError(f"no flight of {SOURCE} for {yesterday}")
    departure = f"{today + timedelta(days=1)}{line['sched_dep'][10:]}"
    flight = {"carrier": line["carrier"], "flight": int(line["flight"]), "origin": SOURCE, "dest": line["dest"]}
    return {"row_id": "public-1", "sched_dep": departure, **flight}


def _ask(stack: Stack, workspace: Path) -> Answer:
    return ask(stack, [row(stack, workspace)], timeout=10.0)[0]


def table(stack: Stack) -> Finding:
    """Whether the canonical table has its columns; what is in it is not looked at."""
    try:
        found = tables.read(stack)
    except StackError as exc:
        return Finding(False, str(exc))
    days = f", {found['date'].min()} to {found['date'].max()}" if len(found) else ""
    return Finding(bool(len(found)), f"The table has {len(found)} rows{days}.", f"{len(found)} rows")


def log(stack: Stack) -> Finding:
    """Whether the log of answers has its columns."""
    found = corrections.read(stack)
    if found.problem:
        return Finding(False, f"{found.problem[0].upper()}{found.problem[1:]}.", "unreadable")
    return Finding(True, f"The log has {len(found.lines)} lines.", f"{len(found.lines)} lines")
