"""Appends alerts to state/alerts.jsonl, one JSON object a line."""

import fcntl
import json
import os
import uuid

from delays.config import Settings, business_date, log

KINDS = (
    "drift", "features_stale", "features_expired", "model_stale", "quality", "source_missing", "nightly_failed"
)  # fmt: skip


def say(
    settings: Settings, kind: str, subject: str, text: str, window_id: str | None = None, once: bool = False
) -> bool:
    """Append an alert; with `once`, only where this business date has none of the same kind and subject.

    Safe for several processes. Returns whether a line was written.
    """
    if kind not in KINDS:
        raise ValueError(f"no such kind of alert: {kind}")
    today = business_date(settings)
    name = f"{today}:{kind}:{subject}" if once else uuid.uuid4().hex
    known = {"id": name, "kind": kind, "subject": subject, "window_id": window_id}
    line = json.dumps({**known, "business_date": today.isoformat(), "text": text}) + "\n"
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / "alerts.jsonl").open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if once and f'"id": "{name}"'.encode() in file.read():
            return False
        os.write(file.fileno(), line.encode())
    log("alert", kind=kind, subject=subject, text=text, window_id=window_id)
    return True
