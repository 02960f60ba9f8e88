"""The page: one HTML file that loads nothing, and in which every text is only text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.model import Outcome, RunRecord, Score
from harness.report import charts, numbers, points
from harness.text import one_line, plain

# Caps keep the page below 2 MB whatever a record holds; result.json has the rest.
MAX_INCIDENT = 20_000
MAX_LINE = 600
MAX_JOURNAL = 300
MAX_CHANGES = 300
MAX_CHARTS = 16
MAX_ACTIVITIES = 120
MAX_CHECKS = 120

_EVIDENCE = re.compile(r"evidence/[A-Za-z0-9._/=+-]+")


@dataclass(frozen=True)
class Bar:
    """An activity and where its bar lies, in percent of the whole run."""

    name: str
    kind: str
    start: float
    seconds: float
    left: float
    width: float


def html(record: RunRecord) -> str:
    """The report of one run as an HTML document. Equal records give equal documents."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            record=record,
            late=late(record),
            score=record.score,
            skills=points.skills(record.score),
            lost=points.lost(record.score),
            broken=points.broken(record),
            said=points.said(record.score),
            bars=bars(record),
            charts=[layout for series in record.charts[:MAX_CHARTS] if (layout := charts.chart(series))],
            size=charts,
            counts=_counts(record.score),
            caps={"journal": MAX_JOURNAL, "changes": MAX_CHANGES, "checks": MAX_CHECKS, "incident": MAX_INCIDENT},
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters |= {
        "line": lambda value, limit=MAX_LINE: one_line(str(value), limit),
        "text": lambda value, limit=MAX_INCIDENT: plain(str(value), limit),
        "figure": numbers.figure,
        "signed": numbers.signed,
        "duration": numbers.duration,
        "moment": numbers.moment,
        "measured": numbers.measured,
        "compact": compact,
        "evidence": evidence,
    }
    environment.globals |= {"span": numbers.span, "earned": numbers.earned}
    return environment


def _clean(value: Any) -> Any:
    """Whatever a template prints is cleaned and capped before it is escaped; our own markup passes."""
    return plain(value, MAX_INCIDENT) if isinstance(value, str) and not isinstance(value, Markup) else value


def compact(data: Mapping[str, Any]) -> str:
    """A mapping in one short line, as `key: value`."""
    parts = (
        f"{key}: {value if isinstance(value, str) else json.dumps(value, default=str)}" for key, value in data.items()
    )
    return one_line(", ".join(parts), 300)


def evidence(paths: Sequence[str]) -> list[tuple[str, str | None]]:
    """Each path, and what it may link to: only a file below evidence/ beside the report is ever a link."""
    return [(path, path if _EVIDENCE.fullmatch(path) and ".." not in path else None) for path in paths[:20]]


def late(record: RunRecord) -> bool:
    """Whether the journal says that this submission came after the deadline: when it was handed in, or received."""
    told = [event.data for event in record.journal if event.kind in ("submitted", "received")]
    return any(data.get("late") is True and data.get("sha256") == record.submission_sha256 for data in told)


def bars(record: RunRecord) -> list[Bar]:
    """The timeline's bars in the order in which they began."""
    whole = max([record.seconds, *(item.end for item in record.activities)], default=0.0) or 1.0
    ordered = sorted(record.activities, key=lambda item: (item.start, item.end, item.name))[:MAX_ACTIVITIES]
    return [
        Bar(
            name=item.name,
            kind=item.kind,
            start=item.start,
            seconds=item.end - item.start,
            left=round(100 * max(0.0, item.start) / whole, 2),
            # A bar too short to be seen is drawn as a hair.
            width=round(max(0.4, 100 * (item.end - item.start) / whole), 2),
        )
        for item in ordered
    ]


def _counts(score: Score) -> dict[str, int]:
    return {outcome.value: sum(item.result.outcome is outcome for item in score.checks) for outcome in Outcome}
