"""The public checks: a quick look at a live stack without hidden data. They say what they see, never why."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

from scenario_base import public as shared

from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.http import ask

INPUTS = (
    "carrier",
    "origin",
    "hour",
    "distance_mi",
    "temp_f",
    "humid_pct",
    "wind_mph",
    "precip_in",
    "visib_mi",
    "pressure_mb",
    "carrier_late_rate",
    "origin_late_rate",
)


def public(stack: Stack, workspace: Path) -> list[tuple[str, Finding]]:
    """Name and finding of each public check; at most some ten seconds. Nothing in the stack or workspace changes,
    but for questions that serving answers."""
    return shared.looked(
        (
            ("services are ready", lambda: shared.services(stack)),
            ("an answer keeps the contract", lambda: shared.inputs(_ask(stack, workspace), INPUTS)),
            ("a bad row is refused", lambda: shared.bad_row(stack, row(stack, workspace))),
            ("answers carry the registry's champion", lambda: shared.champion(stack, _ask(stack, workspace))),
            ("answers carry a feature date", lambda: feature_date(stack, workspace)),
            ("/metrics answers", lambda: shared.metrics(stack)),
            ("state/alerts.jsonl can be read", lambda: shared.alerts(workspace)),
            ("diagnosis.toml makes claims", lambda: shared.diagnosis(workspace)),
            ("INCIDENT.md is there", lambda: shared.incident(workspace)),
        )
    )


def row(stack: Stack, workspace: Path) -> dict[str, Any]:
    """A question about a flight like one of yesterday's feed, a day ahead."""
    today = shared.business_date(stack)
    raw = shared.head(workspace / "feeds" / "arrivals" / f"{today - timedelta(days=1)}.csv")
    line = next(iter(csv.DictReader(io.StringIO(raw))), None)
    if line is None:
        raise OSError(f"no flight in the feed of {today - timedelta(days=1)}")
    flight = {name: line[name] for name in ("carrier", "origin", "dest")}
    departure = f"{today + timedelta(days=1)}{line['sched_dep'][10:]}"
    return {"row_id": "public-1", "flight": int(line["flight"]), "sched_dep": departure, **flight}


def _ask(stack: Stack, workspace: Path) -> Answer:
    return ask(stack, [row(stack, workspace)], timeout=10.0)[0]


def feature_date(stack: Stack, workspace: Path) -> Finding:
    """The feature date of an answer against the business date."""
    said, today = _ask(stack, workspace).feature_date, shared.business_date(stack)
    valid = [str(today - timedelta(days=before)) for before in (1, 2, 3)]
    sentence = f"An answer says feature_date {str(said)[:20]}; the business date is {today}."
    return Finding(said is None or said in valid, sentence, str(said)[:20])
