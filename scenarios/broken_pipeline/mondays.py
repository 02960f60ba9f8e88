"""Every Monday of the story prepared windows are put to the monitor. Used by history.py only."""

# mypy: disable-error-code="import-not-found, import-untyped, no-any-return"
from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path

import pandas as pd
from plan import Code, Plan

MONDAY = 0
DRILLS = "state/monitor/drills.csv"
COLUMNS = ["date", "window", "due", "alerts"]
MONITORED = ("delays/monitor.py", "delays/features.py", "config.toml")
"""What decides what the monitor says of a window."""


def drill(plan: Plan, code: Code, monday: date) -> None:
    """Put prepared windows to the monitor, and note what it says: state/monitor/drills.csv.

    That takes seconds, so what the same code said in the healthy layout is taken from there.
    """
    path = plan.root / DRILLS
    rows = pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else pd.DataFrame(columns=COLUMNS)
    standing = plan.story / "drills.csv"
    if plan.resumed and code.as_healthy(MONITORED):
        said = pd.read_csv(standing, dtype=str, keep_default_na=False)
        said = said[said["date"] == str(monday)]
    else:
        said = _drilled(plan, code, monday)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat([rows, said], ignore_index=True).to_csv(path, index=False, lineterminator="\n")
    if not plan.resumed:
        shutil.copyfile(path, standing)


def _drilled(plan: Plan, code: Code, monday: date) -> pd.DataFrame:
    home, prepared = plan.root / "drill", plan.story / "prepared"
    shutil.rmtree(home, ignore_errors=True)
    (home / "monitoring").mkdir(parents=True)
    shutil.copyfile(plan.root / "config.toml", home / "config.toml")
    shutil.copyfile(plan.workspace / "monitoring" / "snapshot.csv", home / "monitoring" / "snapshot.csv")
    index = json.loads((prepared / "index.json").read_text(encoding="utf-8"))
    monitor = code.module("monitor")
    loaded, words = monitor.load, sys.argv
    monitor.load = lambda: loaded(home)
    sys.argv = ["monitor", *(word for each in index for word in _named(prepared, each))]
    try:
        with suppress(Exception):  # what it said before it failed is what it said
            monitor.main()
    finally:
        monitor.load, sys.argv = loaded, words
    alerts = home / "state" / "alerts.jsonl"
    lines = [json.loads(line) for line in alerts.read_text(encoding="utf-8").splitlines()] if alerts.is_file() else []
    said = {
        each["id"]: "; ".join(f"{line['kind']} {line['subject']}" for line in lines if line["window_id"] == each["id"])
        for each in index
    }
    rows = [(str(monday), each["window"], each["due"], said[each["id"]]) for each in index]
    return pd.DataFrame(rows, columns=COLUMNS)


def _named(prepared: Path, entry: Mapping[str, str]) -> tuple[str, str, str, str]:
    return "--window", str(prepared / entry["file"]), "--id", entry["id"]
