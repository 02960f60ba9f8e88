"""Deadlines of the drills: as long as the brief's and some, and longer in the ratio by which the machine is slower."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from harness import scenario as scenarios
from harness.errors import TooLate
from harness.model import JobResult

SCENARIO = scenarios.find("broken_pipeline")
pair: Any = SCENARIO.module("grader.drills.pair")
nights: Any = importlib.import_module("scenario_base.drills.nights")  # there once a scenario is loaded
PACE = 3.0


@dataclass
class FakeStack:
    """A stack that keeps the deadlines of its jobs, and that nobody answers for."""

    name: str = "candidate"
    deadlines: list[float] = field(default_factory=list)

    def run_job(self, job: str, args: list[str], deadline_s: float) -> JobResult:
        self.deadlines.append(deadline_s)
        return JobResult(0, 1.0, "")

    def read(self, path: str) -> None:
        return None

    def endpoint(self, service: str) -> str:
        return "http://127.0.0.1:9"


def slow(stack: FakeStack) -> Any:
    """As much of a pair as waiting needs, on a machine that is PACE times slower."""
    registry = SimpleNamespace(versions=lambda: [], alias=lambda name: None)
    return SimpleNamespace(
        bench=SimpleNamespace(pace=PACE),
        today=date(2024, 7, 10),
        registry={stack.name: registry},
        night_s=pair.Pair.night_s,
        seen_other_than=lambda *_: "version 6 on 24 of 24 answers",
    )


def test_a_night_may_take_twice_what_the_brief_gives_it() -> None:
    brief = (SCENARIO.folder / "BRIEF.md").read_text(encoding="utf-8")
    (given,) = re.findall(r"It ends within\s+(\d+)\s+seconds", brief)
    assert pair.Pair.night_s == 2 * float(given)
    stack = FakeStack()
    nights.run(slow(stack), stack)
    assert stack.deadlines == [2 * float(given) * PACE]


def test_a_slow_machine_is_waited_for_longer() -> None:
    stack = FakeStack()
    with pytest.raises(TooLate, match=r"Not within 0\.6 s"):
        pair.Pair.await_version(slow(stack), stack, "7", 0.2)


def test_a_slow_machine_is_given_longer_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    base = importlib.import_module("scenario_base.drills.pair")
    monkeypatch.setattr(base, "ask_each", lambda stack, rows, timeout: given.append(timeout) or [])
    pair.Pair.ask_each(slow(FakeStack()), FakeStack(), [])
    assert given == [5 * PACE]
