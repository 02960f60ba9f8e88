"""What `load` and the load driver tell each other, as JSON files."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from harness.model import Record


class Plan(Record):
    """What to send. `urls` by stack name, `stages` of (pairs a second, seconds), bodies are taken in turn.

    `stop_under_way`: by stack, once so many of its requests are unanswered, nothing more is sent to any.
    """

    urls: dict[str, str]
    bodies: tuple[str, ...]
    stages: tuple[tuple[float, float], ...]
    seed: int
    timeout_s: float
    stop_under_way: Mapping[str, int] = Field(default_factory=dict)

    @property
    def longest_s(self) -> float:
        """Seconds after which the driver gives up."""
        return sum(seconds for _, seconds in self.stages) + self.timeout_s + 10


class Sent(Record):
    """One request: `intended` in seconds from the start, `latency_ms` from then, `risks` of the answer's rows.

    `outcome` is ok, wrong (a 200 against the contract), oversized (a wrong one that would have cost the driver more
    than any answer may), failed, timeout or unsent.
    """

    pair: int
    stack: str
    intended: float
    lag_ms: float
    latency_ms: float
    outcome: str
    risks: list[float] | None = None
    text: str = ""


class Driver(Record):
    """How the driver itself fared. `cpu_share` 1 is one whole core."""

    finished: bool
    cpu_share: float
