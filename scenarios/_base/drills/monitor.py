"""Drills of the monitor: all hidden windows in one run, under neutral names and in an order of the seed."""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model import Finding, Stack

from .alerts import alert_lines, new_alerts
from .pair import Pair

DEADLINE_S = 60.0
"""The brief gives 10 seconds and one more for each window, 39 in all; other drills run beside it, and a slow machine
gives longer."""

FALSE_ALARMS = 1
MISSED = 1
"""Of ten windows each. A monitor that alarms on half of all windows passes both once in 8000 times."""


NAMED_AT_MOST = 3
"""Columns that alerts on one window may name: of each one column is changed, and healthy monitors name that one alone.
Who names every column says nothing about any."""

NAMES_COLUMNS = ("drift", "nulls")


@dataclass(frozen=True)
class Kind:
    """A kind of window: the kind of alert that it is due, and whether that must name the window's column."""

    name: str
    alert: str
    named: bool = False


@dataclass(frozen=True)
class Window:
    """A hidden window: `id` is its neutral name; `subject` the column that drifted, where one did."""

    id: str
    path: str
    kind: str
    subject: str | None
    content: bytes
    alert: str
    named: bool


@dataclass(frozen=True)
class Watched:
    """What a monitor said: its alerts by window id."""

    exit_code: int | None
    seconds: float
    alerts: Mapping[str, Sequence[Mapping[str, Any]]]
    output: str


def windows(pair: Pair, kinds: Sequence[Kind]) -> list[Window]:
    """The hidden windows of these kinds in an order and under names that tell nothing."""
    folder = pair.bench.site.private / "windows"
    known = {kind.name: kind for kind in kinds}
    found = []
    for entry in json.loads((folder / "index.json").read_text(encoding="utf-8")):
        kind = known.get(entry["kind"])
        if kind is not None:
            name = hashlib.sha256(f"{pair.seed}/window {entry['id']}".encode()).hexdigest()[:10]
            content = (folder / entry["file"]).read_bytes()
            place = f"var/windows/{name}.csv"
            found.append(Window(name, place, kind.name, entry["subject"], content, kind.alert, kind.named))
    random.Random(f"{pair.seed}/windows").shuffle(found)
    return found


def watch(stack: Stack, hidden: Sequence[Window], pace: float) -> Watched:
    """Run the monitor once over all windows and read what it wrote to state/alerts.jsonl."""
    for window in hidden:
        stack.write(window.path, window.content)
    before = alert_lines(stack)
    args = [text for window in hidden for text in ("--window", window.path, "--id", window.id)]
    result = stack.run_job("monitor", args, DEADLINE_S * pace)
    alerts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for alert in new_alerts(stack, before):
        alerts[str(alert.get("window_id"))].append(alert)
    stack.remove("var/windows")
    return Watched(result.exit_code, result.seconds, alerts, result.output[-4000:])


class Windows:
    """The hidden windows and what each stack's monitor says of them; a monitor runs when it is first asked for."""

    def __init__(self, pair: Pair, kinds: Sequence[Kind]) -> None:
        self._pair = pair
        self.hidden = windows(pair, kinds)
        self._seen: dict[str, Watched] = {}

    def of(self, stack: Stack) -> Watched:
        """What a stack's monitor said in its one run."""
        if stack.name not in self._seen:
            self._seen[stack.name] = watch(stack, self.hidden, self._pair.bench.pace)
        return self._seen[stack.name]

    def silent(self, stack: Stack) -> Finding:
        """Silent on clean windows, though not on drifted ones."""
        return _silent(self._pair, stack, self.hidden, self.of(stack))

    def drift(self, stack: Stack) -> Finding:
        """Alerts on drifted windows that name the column."""
        return _on_drift(self.hidden, self.of(stack))

    def every(self, what: str, kinds: Sequence[str]) -> Callable[[Stack], Finding]:
        """A probe: an alert of their kind on every window of some kinds."""
        return lambda stack: _on_all(self.hidden, self.of(stack), what, kinds)


def _ended(seen: Watched) -> str:
    if seen.exit_code is None:
        return f"The monitor did not end: it was stopped after {seen.seconds:.0f} s."
    return f"The monitor ended with exit code {seen.exit_code}, not 0." if seen.exit_code else ""


def alarmed(hidden: Sequence[Window], seen: Watched) -> list[Window]:
    """The clean windows on which anything was said."""
    return [window for window in hidden if window.kind == "clean" and seen.alerts.get(window.id)]


def missed(hidden: Sequence[Window], seen: Watched, kind: str) -> list[Window]:
    """The windows of a kind without an alert of that kind; some must name the column that drifted, and few others."""
    return [w for w in hidden if w.kind == kind and not _told(w, seen.alerts.get(w.id, ()))]


def _told(window: Window, alerts: Sequence[Mapping[str, Any]]) -> bool:
    of_kind = [alert.get("subject") for alert in alerts if alert.get("kind") == window.alert]
    if not window.named:
        return bool(of_kind)
    columns = {str(alert.get("subject")) for alert in alerts if alert.get("kind") in NAMES_COLUMNS}
    return window.subject in of_kind and len(columns) <= NAMED_AT_MOST


def _silent(pair: Pair, stack: Stack, hidden: Sequence[Window], seen: Watched) -> Finding:
    saved = (pair.bench.save(f"monitor/{stack.name}.json", _evidence(hidden, seen)),)
    false, blind = alarmed(hidden, seen), missed(hidden, seen, "drift")
    clean = sum(window.kind == "clean" for window in hidden)
    drifted = sum(window.kind == "drift" for window in hidden)
    sentence = (
        f"{len(false)} of {clean} clean windows raised an alert, {drifted - len(blind)} of {drifted} drifted ones did."
    )
    ok = not _ended(seen) and len(false) <= FALSE_ALARMS and len(blind) <= MISSED
    return Finding(ok, _ended(seen) or sentence, f"{len(false)} of {clean}", saved)


def _on_drift(hidden: Sequence[Window], seen: Watched) -> Finding:
    blind = missed(hidden, seen, "drift")
    drifted = sum(window.kind == "drift" for window in hidden)
    clean = sum(window.kind == "clean" for window in hidden)
    false = len(alarmed(hidden, seen))
    found = drifted - len(blind)
    sentence = f"{found} of {drifted} drifted windows raised an alert that names the column"
    sentence += f"; missed: {', '.join(sorted(str(window.subject) for window in blind))}." if blind else "."
    # "rightly more often": one that alarms on everything tells nothing apart
    ok = not _ended(seen) and len(blind) <= MISSED and found / drifted > false / clean
    return Finding(ok, _ended(seen) or sentence, f"{found} of {drifted}")


def _on_all(hidden: Sequence[Window], seen: Watched, what: str, kinds: Sequence[str]) -> Finding:
    due = [window for window in hidden if window.kind in kinds]
    blind = [window for kind in kinds for window in missed(hidden, seen, kind)]
    measured = f"{len(due) - len(blind)} of {len(due)}"
    sentence = f"{measured} {what} raised an alert of their kind"
    sentence += f"; missed: {', '.join(sorted(window.kind for window in blind))}." if blind else "."
    return Finding(not _ended(seen) and not blind, _ended(seen) or sentence, measured)


def _evidence(hidden: Sequence[Window], seen: Watched) -> dict[str, Any]:
    return {
        "exit_code": seen.exit_code,
        "seconds": round(seen.seconds, 1),
        "windows": [
            {"id": w.id, "kind": w.kind, "subject": w.subject, "alerts": list(seen.alerts.get(w.id, ()))}
            for w in hidden
        ],
        "output": seen.output,
    }
