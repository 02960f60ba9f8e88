"""Wrongly scored answers are corrected once; logs and alerts are written whole."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from broken_workspace_parts import (
    DAY,
    WORKSPACE,
    alerts,
)


def logged_row(delays: Any, settings: Any, row_id: str, distance: float | None, leaves: date, scored: date) -> None:
    """A line of the log about JFK to AAA."""
    row = {"row_id": row_id, "carrier": "NA", "flight": 1, "origin": "JFK", "dest": "AAA"}
    row["sched_dep"] = f"{leaves}T17:00:00-04:00"
    said = {"features": {"distance_mi": distance}, "p_late": 0.25, "model": {"version": "1"}}
    delays.answers.append(settings, [row], [said], scored)


def test_only_answers_on_a_wrong_distance_about_flights_ahead_are_affected(delays: Any, settings: Any) -> None:
    before = DAY - timedelta(days=2)
    for row_id, distance, leaves in (
        ("right", 500.0, DAY),
        ("rounded", 500.05, DAY),
        ("wrong", 804.7, DAY),
        ("unknown then", None, DAY + timedelta(days=1)),
        ("gone", 804.7, DAY - timedelta(days=1)),
    ):
        logged_row(delays, settings, row_id, distance, leaves, before)
    known = delays.features.Known(None, {"carrier": {}, "origin": {}}, {("JFK", "AAA"): 500.0})
    assert delays.answers.affected(settings, known, DAY)["row_id"].tolist() == ["wrong", "unknown then"]


def test_a_superseded_answer_is_corrected_once_and_a_wrong_correction_again(delays: Any, settings: Any) -> None:
    logged_row(delays, settings, "a", 804.7, DAY, DAY - timedelta(days=1))
    row = {
        "row_id": "b",
        "carrier": "NA",
        "flight": 1,
        "origin": "JFK",
        "dest": "AAA",
        "sched_dep": f"{DAY}T17:00:00-04:00",
    }
    said = {"features": {"distance_mi": 500.0}, "p_late": 0.2, "model": {"version": "1"}}
    delays.answers.append(settings, [row], [said], DAY, ["a"])
    at = {miles: delays.features.Known(None, {}, {("JFK", "AAA"): miles}) for miles in (500.0, 600.0)}
    assert delays.answers.affected(settings, at[500.0], DAY).empty
    assert delays.answers.affected(settings, at[600.0], DAY)["row_id"].tolist() == ["b"]


def test_an_empty_log_has_nothing_to_correct(delays: Any, settings: Any) -> None:
    known = delays.features.Known(None, {}, {})
    assert delays.answers.affected(settings, known, DAY).empty


APPENDING = """
import multiprocessing, sys
from datetime import date, timedelta
from pathlib import Path
from delays import answers, config

settings, first = config.load(Path(sys.argv[1])), date.fromisoformat(sys.argv[2])
said = {"features": {"distance_mi": 1.0}, "p_late": 0.1, "model": {"version": "1"}}

def append(worker):
    flight = {"carrier": "NA", "origin": "JFK", "dest": "AAA", "sched_dep": "x"}
    for n in range(50):
        row, day = {"row_id": f"{worker}-{n}", "flight": n, **flight}, first + timedelta(days=n % 10)
        together.wait(60)
        answers.append(settings, [row] * 3, [said] * 3, day)
        config.alert(settings, "drift", f"{worker}", "text", day)

context = multiprocessing.get_context("fork")
together = context.Barrier(3)
workers = [context.Process(target=append, args=(n,)) for n in range(3)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
sys.exit(sum(worker.exitcode != 0 for worker in workers))
"""
"""Workers that write together, to a new file time and again: each file's first line is the one that may come twice."""


@pytest.mark.parametrize("file", ["predictions", "alerts"])
def test_a_writer_waits_until_another_is_done(file: str, delays: Any, settings: Any) -> None:
    path = settings.state / ("alerts.jsonl" if file == "alerts" else f"predictions/{DAY}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    flight = {"row_id": "1", "carrier": "NA", "flight": 1, "origin": "JFK", "dest": "AAA", "sched_dep": "x"}
    said = {"features": {"distance_mi": 1.0}, "p_late": 0.1, "model": {"version": "1"}}
    if file == "alerts":
        writer = threading.Thread(target=delays.config.alert, args=(settings, "drift", "temp_f", "text", DAY))
    else:
        writer = threading.Thread(target=delays.answers.append, args=(settings, [flight], [said], DAY))
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writer.start()
        writer.join(1.0)
        assert writer.is_alive()
        assert path.stat().st_size == 0
    writer.join(30.0)
    assert not writer.is_alive()
    assert path.stat().st_size > 0


def test_workers_that_write_at_once_lose_and_break_no_line(settings: Any) -> None:
    command = [sys.executable, "-c", APPENDING, str(settings.root), str(DAY)]
    environment = {**os.environ, "PYTHONPATH": str(WORKSPACE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    logs = sorted((settings.state / "predictions").iterdir())
    assert len(logs) == 10
    log = pd.concat(pd.read_csv(path) for path in logs)
    assert len(log) == 450
    assert log["row_id"].nunique() == 150
    said = [json.loads(line) for line in (settings.state / "alerts.jsonl").read_text().splitlines()]
    assert len({alert["id"] for alert in said}) == 150


def test_an_alert_of_the_watch_is_said_once_a_day(delays: Any, settings: Any) -> None:
    for day in (DAY, DAY, DAY + timedelta(days=1)):
        delays.config.alert(settings, "quality", "p_late", "text", day, once=True)
    assert alerts(settings) == [("quality", "p_late")] * 2


def test_an_unknown_kind_of_alert_is_a_bug(delays: Any, settings: Any) -> None:
    with pytest.raises(ValueError, match="no such kind"):
        delays.config.alert(settings, "drifted", "x", "text", DAY)
