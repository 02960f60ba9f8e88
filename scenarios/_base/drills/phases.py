"""The phases of a grading: steps that give checks their results, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.model import Bench

R = TypeVar("R")


@dataclass(frozen=True)
class Phase(Generic[R]):
    """A step that gives `checks` their results; it is also taken for checks of later phases, those in `before`."""

    name: str
    checks: tuple[str, ...]
    step: Callable[[R], None]
    before: tuple[str, ...] = ()


def grade(bench: Bench, phases: Sequence[Phase[R]], begin: Callable[[], R]) -> None:
    """Give every wanted check a result: begin a run, then take each phase that a wanted check needs, guarded."""
    every = (check for phase in phases for check in phase.checks if bench.wants(check))
    with bench.guard(*dict.fromkeys(every)):
        run = begin()
        for phase in phases:
            if bench.wants(*phase.checks, *phase.before):
                wanted = (check for check in phase.checks if bench.wants(check))
                with bench.guard(*wanted), bench.activity(phase.name, "drill"):
                    phase.step(run)
