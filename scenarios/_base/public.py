"""Public checks that scenarios share: a quick look at a live stack without hidden data. They say what they see."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import BadAnswer, StackError
from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.http import ask_raw, get
from harness.probes.registry import MODEL, Registry
from harness.probes.wait import until

ALERT_KEYS = ("id", "kind", "subject", "window_id")
MAX_FILE = 4 * 1024 * 1024

READY_S = 10.0
"""Workers share a socket: after a restart one answers while another still loads."""

Looks = Sequence[tuple[str, Callable[[], Finding]]]
"""What is looked at, and how."""


def looked(looks: Looks) -> list[tuple[str, Finding]]:
    """Name and finding of each look; a stack or a file that does not answer is a finding, too."""
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
        try:
            until(stack, f"200 from {service} for {path}", partial(_status, stack, service, path), READY_S)
        except BadAnswer as exc:
            return Finding(False, str(exc))
    return Finding(True, "Registry, provider and serving are ready.", "3 of 3")


def _status(stack: Stack, service: str, path: str) -> str | None:
    status, _ = get(stack, service, path, timeout=5.0)
    return None if status == 200 else f"it answered {status}"


def business_date(stack: Stack) -> date:
    """The business date as the provider says it."""
    _, text = get(stack, "provider", "/clock", timeout=5.0)
    return date.fromisoformat(json.loads(text)["business_date"])


def inputs(said: Answer, names: Sequence[str]) -> Finding:
    """The names of an answer's features."""
    missing = [name for name in names if name not in said.features]
    if missing:
        return Finding(False, f"The answer echoes no {', '.join(missing)}.", f"{len(missing)} missing")
    return Finding(True, f"p_late {said.p_late:.3f}, with the {len(names)} inputs.", f"{said.p_late:.3f}")


def bad_row(stack: Stack, row: Mapping[str, Any]) -> Finding:
    """One bad row gets a 4xx that names the field."""
    status, text = ask_raw(stack, [{**row, "origin": "BOS"}], timeout=10.0)
    named = 400 <= status < 500 and "origin" in text
    sentence = f"An origin that is none of the three got {status}" + (", naming the field." if named else ".")
    return Finding(named, sentence, f"{status}")


def champion(stack: Stack, said: Answer) -> Finding:
    """Version and name in an answer against the alias."""
    standing = Registry(stack).champion()
    if standing is None:
        return Finding(False, "The alias champion is not set.", "none")
    same = (said.model.name, said.model.version) == (MODEL, standing.version)
    shown = f"{said.model.name[:40]} version {said.model.version[:20]}"
    sentence = f"An answer says {shown}; champion is version {standing.version}."
    return Finding(same, sentence, said.model.version[:20])


def metrics(stack: Stack) -> Finding:
    """The Prometheus page."""
    status, text = get(stack, "serving", "/metrics", timeout=10.0)
    return Finding(status == 200 and "# TYPE" in text, f"/metrics answered {status}.", f"{status}")


def alerts(workspace: Path) -> Finding:
    """One JSON object a line with the keys of the brief."""
    path = workspace / "state" / "alerts.jsonl"
    if not path.is_file():
        return Finding(True, "There is no state/alerts.jsonl yet.", "0 lines")
    lines = [line for line in head(path).splitlines() if line.strip()]
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
        found = tomllib.loads(head(workspace / "diagnosis.toml"))
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
    words = len(head(path).split()) if path.is_file() else 0
    return Finding(words > 0, f"INCIDENT.md has {words} words.", f"{words} words")


def head(path: Path) -> str:
    """The first MAX_FILE bytes of a file as text. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_FILE).decode("utf-8", "replace")
