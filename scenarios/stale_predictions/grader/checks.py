"""The hidden checks of this scenario, in the order in which they run.

Each phase sets its own preconditions (see `drills.pair`), so it may run alone. Two ticks: the second begins with a
restart of serving and the next business date.

    fresh stack     quality, drift, lineage of an answer; then which partition is used
    versions        promotion, rollback, cache, single answers; load while nothing else runs
    partitions      incomplete, expired, recovered; the monitor's windows beside them
    second tick     restart, next day: promotion and features again
    night           nights that must promote; the gate's challengers, and an ordinary night
    missing feed    the day after: refused, then delivered, then run twice
    other code      the day after that: a night once a line of the code is another one
    end             the first days of a month
"""

from __future__ import annotations

from collections.abc import Callable

from harness.model import Bench

from .drills.pair import Pair
from .drills.run import Run
from .phases import answers, nights, partitions

Phase = tuple[str, tuple[str, ...], Callable[[Run], None]]

PHASES: tuple[Phase, ...] = (
    ("the fresh stack", answers.FRESH, answers.fresh_stack),
    ("which partition is used", answers.NEWEST, answers.newest_features),
    ("versions and answers", answers.VERSIONS, answers.follow_versions),
    ("partitions and monitor", (*partitions.EXPIRY, *partitions.MONITOR), partitions.partitions_and_monitor),
    ("second tick", partitions.SECOND_TICK, partitions.second_tick),
    ("a night and the gate", (*nights.NIGHT, *nights.GATE), nights.night),
    ("a night without its feed", (*nights.MISSING, nights.LINEAGE), nights.missing_feed),
    ("a night of other code", (nights.LINEAGE,), nights.other_code),
    ("the first days of a month", partitions.ORDER, partitions.first_days_of_a_month),
)


def grade(bench: Bench) -> None:
    """Give every wanted check a result."""
    every = tuple(check for _, checks, _ in PHASES for check in checks if bench.wants(check))
    with bench.guard(*every):
        run = Run(Pair(bench))
        run.remember()
        for name, checks, phase in PHASES:
            wanted = tuple(check for check in checks if bench.wants(check))
            if wanted:
                with bench.guard(*wanted), bench.activity(name, "drill"):
                    phase(run)
