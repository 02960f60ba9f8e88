"""The hidden checks of this scenario, in the order in which they run.

Each phase sets its own preconditions (see `drills.pair`), so it may run alone. Two ticks: the second begins with a
restart of serving and the next business date.

    fresh stack     quality, drift, lineage of an answer; then which partition is used
    versions        promotion, rollback, cache, single answers; load while nothing else runs
    monitor         windows of answers
    second tick     restart, next day: promotion and features again
    partitions      incomplete, expired, recovered: on a day of which no alert can stand from the attempt
    night           nights that must promote; the gate's challengers, and an ordinary night
    missing feed    the day after: refused, then delivered, then run twice
    other code      the day after that: a night once a line of the code is another one
    end             the first days of a month
"""

from __future__ import annotations

from scenario_base.drills import phases
from scenario_base.drills.phases import Phase

from harness.model import Bench

from .drills.run import Run
from .phases import answers, nights, partitions

PHASES = (
    Phase("the fresh stack", answers.FRESH, answers.fresh_stack),
    Phase("which partition is used", answers.NEWEST, answers.newest_features),
    Phase("versions and answers", answers.VERSIONS, answers.follow_versions),
    Phase("the monitor's windows", partitions.MONITOR, partitions.monitor_windows),
    Phase("second tick", partitions.SECOND_TICK, partitions.second_tick, partitions.EXPIRY),
    Phase("partitions", partitions.EXPIRY, partitions.incomplete_and_expired),
    Phase("a night and the gate", (*nights.NIGHT, *nights.GATE), nights.night),
    Phase("a night without its feed", (*nights.MISSING, nights.LINEAGE), nights.missing_feed),
    Phase("a night of other code", (nights.LINEAGE,), nights.other_code),
    Phase("days of another month", partitions.ORDER, partitions.days_of_another_month),
)


def grade(bench: Bench) -> None:
    """Give every wanted check a result."""
    phases.grade(bench, PHASES, lambda: Run.begin(bench))
