"""One run of the nightly job: registry and report before and after it.

An exit code counts only together with what is seen from outside (BRIEF.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from harness.model import JobResult, Stack
from harness.probes.registry import Version

from .pair import Pair

DONE, REFUSED, RUNNING = 0, 2, 3


@dataclass(frozen=True)
class Aliases:
    """The versions behind both aliases, None where one is not set."""

    champion: str | None
    previous: str | None

    def __str__(self) -> str:
        return f"champion {self.champion}, previous {self.previous}"


@dataclass(frozen=True)
class Night:
    """One run of the job and what it left."""

    day: date
    result: JobResult
    before: Aliases
    after: Aliases
    known: tuple[Version, ...]
    made: tuple[Version, ...]
    report: Mapping[str, Any]

    @property
    def promoted(self) -> bool:
        """Whether a version was promoted by the report or by the alias."""
        return self.report.get("decision") == "promoted" or self.after.champion != self.before.champion

    @property
    def moved(self) -> bool:
        """Whether the alias moved to what could have been promoted."""
        return self.after.champion in self.challengers

    @property
    def challengers(self) -> set[str]:
        """The versions that could have been promoted: those registered by it, and the one put to its gate."""
        said = {str(self.report["challenger"])} if self.report.get("challenger") else set()
        return {version.version for version in self.made} | said

    def evidence(self) -> dict[str, Any]:
        """For Bench.save."""
        return {
            "night": str(self.day),
            "exit_code": self.result.exit_code,
            "seconds": round(self.result.seconds, 1),
            "before": self.before.__dict__,
            "after": self.after.__dict__,
            "registered": [version.version for version in self.made],
            "report": dict(self.report),
            "output": self.result.output[-4000:],
        }


def aliases(pair: Pair, stack: Stack) -> Aliases:
    """The aliases of a stack's registry as they stand."""
    registry = pair.registry[stack.name]
    found = {name: registry.alias(name) for name in ("champion", "previous")}
    return Aliases(*(each.version if each else None for each in (found["champion"], found["previous"])))


def run(pair: Pair, stack: Stack, *args: str) -> Night:
    """Run the night of the business date and look at registry and report before and after."""
    registry = pair.registry[stack.name]
    known, before = registry.versions(), aliases(pair, stack)
    result = stack.run_job("nightly", ["--date", str(pair.today), *args], pair.night_s * pair.bench.pace)
    numbers = {version.version for version in known}
    made = tuple(version for version in registry.versions() if version.version not in numbers)
    return Night(pair.today, result, before, aliases(pair, stack), known, made, report_of(stack, pair.today))


def report_of(stack: Stack, day: date) -> dict[str, Any]:
    """state/nightly/<day>.json, or {} where there is none that can be read."""
    raw = stack.read(f"state/nightly/{day}.json")
    try:
        found = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        found = {}
    return found if isinstance(found, dict) else {}


def not_ended(result: JobResult, *codes: int) -> str:
    if result.exit_code is None:
        return f"the nightly did not end: it was stopped after {result.seconds:.0f} s"
    if result.exit_code not in codes:
        return f"the nightly ended with exit code {result.exit_code}, not {' or '.join(map(str, codes))}"
    return ""
