"""What one grading leaves from phase to phase; `checks` puts the phases in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from scenario_base.drills.alerts import alert_lines
from scenario_base.drills.quality import Hidden

from harness.model import Bench, Finding

from . import features
from .pair import Pair
from .versions import Made


@dataclass
class Run:
    """What phases leave for later ones, by stack.

    `kept` and `said` are partitions and alerts as they were before any drill, `resolved` what was found of an answer of
    the fresh stack, `made` the versions that nights registered.
    """

    pair: Pair
    kept: dict[str, dict[str, bytes]]
    said: dict[str, Counter[str]]
    hidden: Hidden | None = None
    resolved: dict[str, Finding] = field(default_factory=dict)
    made: dict[str, list[Made]] = field(default_factory=dict)

    @property
    def bench(self) -> Bench:
        """The bench of the run."""
        return self.pair.bench

    @classmethod
    def begin(cls, bench: Bench) -> Run:
        """A run that knows partitions and alerts as they were handed in: drills take partitions away."""
        pair = Pair(bench)
        kept = {stack.name: features.snapshot(stack) for stack in pair.stacks}
        return cls(pair, kept, {stack.name: alert_lines(stack) for stack in pair.stacks})

    def restore_partitions(self) -> None:
        """Partitions as they were handed in: what is wrong with them is part of what is graded."""
        for stack in self.pair.stacks:
            features.restore(stack, self.kept[stack.name])
