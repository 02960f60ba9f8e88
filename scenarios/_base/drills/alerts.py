"""What a stack says in state/alerts.jsonl."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from harness.model import Stack


def alert_lines(stack: Stack) -> Counter[str]:
    """The lines of state/alerts.jsonl, counted."""
    raw = stack.read("state/alerts.jsonl") or b""
    return Counter(line for line in raw.decode("utf-8", "replace").splitlines() if line.strip())


def new_alerts(stack: Stack, before: Counter[str]) -> list[dict[str, Any]]:
    """The alerts that were not there before; lines that are no JSON object are left out."""
    return parsed(alert_lines(stack) - before)


def parsed(lines: Counter[str]) -> list[dict[str, Any]]:
    """The alerts in these lines; what is no JSON object is left out."""
    found: list[dict[str, Any]] = []
    for line in lines.elements():
        try:
            alert = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(alert, dict):
            found.append(alert)
    return found
