"""What `load` and the load driver tell each other, as JSON files."""

from __future__ import annotations

from harness.model import Record


class Plan(Record):
    """What to send. `urls` by stack name; bodies are taken in turn. A stack that has no URL here gets no load.

    Open loop: `stages` of (pairs a second, seconds), each pair to all stacks. Closed loop, where `under_way` is not 0:
    so many requests to each stack at any time, for as long as the stages last or until every body was sent.
    """

    urls: dict[str, str]
    bodies: tuple[str, ...]
    stages: tuple[tuple[float, float], ...]
    seed: int
    timeout_s: float
    under_way: int = 0

    @property
    def longest_s(self) -> float:
        """Seconds after which the driver gives up."""
        return self.seconds + self.timeout_s + 10

    @property
    def seconds(self) -> float:
        """How long requests are sent."""
        return sum(seconds for _, seconds in self.stages)


class Sent(Record):
    """One request: `intended` in seconds from the start, `latency_ms` from then, `risks` of the answer's rows.

    `outcome` is ok, wrong (a 200 against the contract), oversized (a wrong one that would have cost the driver more
    than any answer may), failed or timeout.
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
