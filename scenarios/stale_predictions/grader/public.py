"""The public checks: a quick look at a live stack without hidden data. They say what they see, never why."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from harness.errors import StackError
from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.http import ask, ask_raw, get
from harness.probes.registry import MODEL, Registry

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
ALERT_KEYS = ("id", "kind", "subject", "window_id")
MAX_FILE = 4 * 1024 * 1024


def public(stack: Stack, workspace: Path) -> list[tuple[str, Finding]]:
    """Name and finding of each public check; at most some ten seconds. Nothing in the stack or workspace changes,
    but for questions that serving answers."""
    looks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("services are ready", lambda: services(stack)),
        ("an answer keeps the contract", lambda: answer(stack, workspace)),
        ("a bad row is refused", lambda: bad_row(stack, workspace)),
        ("answers carry the registry's champion", lambda: champion(stack, workspace)),
        ("answers carry a feature date", lambda: feature_date(stack, workspace)),
        ("/metrics answers", lambda: metrics(stack)),
        ("state/alerts.jsonl can be read", lambda: alerts(workspace)),
        ("diagnosis.toml makes claims", lambda: diagnosis(workspace)),
        ("INCIDENT.md is there", lambda: incident(workspace)),
    )
    return [(name, _looked(look)) for name, look in looks]


def _looked(look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except StackError as exc:
        return Finding(False, str(exc))
    except OSError as exc:
        return Finding(False, f"This could not be read: {exc.strerror or exc}.")


def services(stack: Stack) -> Finding:
    """Registry, provider and serving say that they are ready."""
    for service, path in (("registry", "/health"), ("provider", "/healthz"), ("serving", "/readyz")):
        status, _ = get(stack, service, path, timeout=5.0)
        if status != 200:
            return Finding(False, f"{service} answered {status} to {path}.", f"{status}")
    return Finding(True, "Registry, provider and serving are ready.", "3 of 3")


def business_date(stack: Stack) -> date:
    """The business date as the provider says it."""
    _, text = get(stack, "provider", "/clock", timeout=5.0)
    return date.fromisoformat(json.loads(text)["business_date"])


def row(stack: Stack, workspace: Path) -> dict[str, Any]:
    """A question about a flight like one of yesterday's feed, a day ahead."""
    today = business_date(stack)
    raw = _head(workspace / "feeds" / "arrivals" / f"{today - timedelta(days=1)}.csv")
    line = next(iter(csv.DictReader(io.StringIO(raw))), None)
    if line is None:
        raise OSError(f"no flight in the feed of {today - timedelta(days=1)}")
    flight = {name: line[name] for name in ("carrier", "origin", "dest")}
    departure = f"{today + timedelta(days=1)}{line['sched_dep'][10:]}"
    return {"row_id": "public-1", "flight": int(line["flight"]), "sched_dep": departure, **flight}


def _ask(stack: Stack, workspace: Path) -> Answer:
    return ask(stack, [row(stack, workspace)], timeout=10.0)[0]


def answer(stack: Stack, workspace: Path) -> Finding:
    """Form of one answer, and the names of its features."""
    said = _ask(stack, workspace)
    missing = [name for name in INPUTS if name not in said.features]
    if missing:
        return Finding(False, f"The answer echoes no {', '.join(missing)}.", f"{len(missing)} missing")
    return Finding(True, f"p_late {said.p_late:.3f}, with all {len(INPUTS)} features.", f"{said.p_late:.3f}")


def bad_row(stack: Stack, workspace: Path) -> Finding:
    """One bad row gets a 4xx that names the field."""
    status, text = ask_raw(stack, [row(stack, workspace) | {"origin": "BOS"}], timeout=10.0)
    named = 400 <= status < 500 and "origin" in text
    sentence = f"An origin that is none of the three got {status}" + (", naming the field." if named else ".")
    return Finding(named, sentence, f"{status}")


def champion(stack: Stack, workspace: Path) -> Finding:
    """Version and name in an answer against the alias."""
    said, standing = _ask(stack, workspace).model, Registry(stack).champion()
    if standing is None:
        return Finding(False, "The alias champion is not set.", "none")
    same = (said.name, said.version) == (MODEL, standing.version)
    sentence = f"An answer says {said.name[:40]} version {said.version[:20]}; champion is version {standing.version}."
    return Finding(same, sentence, said.version[:20])


def feature_date(stack: Stack, workspace: Path) -> Finding:
    """The feature date of an answer against the business date."""
    said, today = _ask(stack, workspace).feature_date, business_date(stack)
    valid = [str(today - timedelta(days=before)) for before in (1, 2, 3)]
    sentence = f"An answer says feature_date {str(said)[:20]}; the business date is {today}."
    return Finding(said is None or said in valid, sentence, str(said)[:20])


def metrics(stack: Stack) -> Finding:
    """The Prometheus page."""
    status, text = get(stack, "serving", "/metrics", timeout=10.0)
    return Finding(status == 200 and "# TYPE" in text, f"/metrics answered {status}.", f"{status}")


def alerts(workspace: Path) -> Finding:
    """One JSON object a line with the keys of the brief."""
    path = workspace / "state" / "alerts.jsonl"
    if not path.is_file():
        return Finding(True, "There is no state/alerts.jsonl yet.", "0 lines")
    lines = [line for line in _head(path).splitlines() if line.strip()]
    wrong = [number for number, line in enumerate(lines, 1) if not _is_alert(line)]
    if wrong:
        return Finding(False, f"Line {wrong[0]} of state/alerts.jsonl is no alert by the brief.", f"{len(wrong)} lines")
    return Finding(True, f"{len(lines)} alerts by the brief.", f"{len(lines)} lines")


def _is_alert(line: str) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and all(key in found for key in ALERT_KEYS)


def diagnosis(workspace: Path) -> Finding:
    """diagnosis.toml is TOML and makes claims; whether they are right is not said."""
    try:
        found = tomllib.loads(_head(workspace / "diagnosis.toml"))
    except FileNotFoundError:
        return Finding(False, "There is no diagnosis.toml yet.", "0 claims")
    except tomllib.TOMLDecodeError as exc:
        return Finding(False, f"diagnosis.toml is no TOML: {exc}.", "0 claims")
    claims = found.get("claim", [])
    count = len(claims) if isinstance(claims, list) else 0
    return Finding(count > 0, f"diagnosis.toml makes {count} claims.", f"{count} claims")


def incident(workspace: Path) -> Finding:
    """INCIDENT.md has something in it."""
    path = workspace / "INCIDENT.md"
    words = len(_head(path).split()) if path.is_file() else 0
    return Finding(words > 0, f"INCIDENT.md has {words} words.", f"{words} words")


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_FILE).decode("utf-8", "replace")
