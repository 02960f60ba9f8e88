"""How numbers are written in reports."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from harness.model import CheckResult
from harness.report.points import Range
from harness.text import one_line

MINUS = "−"
_BARE = re.compile(r"[-+−]?[\d.]+( of \d+)?( \([-\d.]+–[\d.]+\))?")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def figure(value: float) -> str:
    """Points with at most one decimal; what is not 100 is never shown as 100, and what is not 0 never as 0."""
    shown = f"{abs(value):.1f}".removesuffix(".0")
    if shown == "100" and abs(value) < 100:
        shown = "99.9"
    if shown == "0" and value != 0:
        shown = "0.1"
    return f"-{shown}" if value < 0 else shown


def signed(value: float) -> str:
    """Points with a sign, for people (a true minus)."""
    shown = figure(value)
    return shown.replace("-", MINUS) if value < 0 else f"+{shown}" if value > 0 else shown


def span(low: float, high: float) -> str:
    """A number, or a range where the two differ when written."""
    return figure(low) if figure(low) == figure(high) else f"{figure(low)}–{figure(high)}"


def earned(points: Range) -> str:
    """Points of those that can be had: `48 of 51`, or `48–51 of 51`."""
    return f"{span(points.low, points.high)} of {figure(points.possible)}"


def measured(result: CheckResult) -> str:
    """What was measured, with its unit where it is a bare number, a range of numbers, or so many of so many."""
    bare = _BARE.fullmatch(result.measured) is not None and result.unit not in ("", "date")
    return f"{result.measured} {result.unit}" if bare else result.measured


def moment(text: str) -> str:
    """An ISO 8601 time as `12 January 2026, 10:15 UTC`; whatever is none stays as it is."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return one_line(text, 40)
    zone = "" if time.tzinfo is None else " UTC"
    time = time if time.tzinfo is None else time.astimezone(UTC)
    # Written out by hand: names of months by strftime depend on the machine's locale.
    return f"{time.day} {_MONTHS[time.month - 1]} {time.year}, {time:%H:%M}{zone}"


def duration(seconds: float) -> str:
    """Seconds for people: 8 s, 2 min 5 s, 1 h 2 min."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{max(0.0, seconds):.1f} s" if whole < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
