"""The hidden checks of this scenario, in the order in which they run.

Each check sets its own preconditions: tables are compared by key and cell with what the grader makes of the
deliveries, trainings and corrections with the stack's own table, answers with the provider and with models of the
grader's own. Four nights:

    fresh stack          D. An answer's lineage; the night; the table; the night again; hidden days
    trainings            two as of D: holdout, metrics, inputs, likeness; hidden days
    versions             promotion, single answers, weather, load, rollback
    gate and monitor     six challengers, with the monitor's windows beside them
    first tick           D+1, after a restart: other units and offsets, a doubled day, rows anew; corrections
    trainings again      with other labels and another line of code, and beside what the night trained
    second tick          D+2. Two sources break a rule
    ordinary nights      what the nights of both ticks decided of the versions that they trained
    third tick           D+3. One is mended; two sources lack values
"""

from __future__ import annotations

from scenario_base.drills import phases
from scenario_base.drills.phases import Phase

from harness.model import Bench

from .drills.pair import Pair
from .drills.run import Run
from .phases import fresh, held, served, ticks, trained

PHASES = (
    Phase("the fresh stack", fresh.RESOLVES, fresh.fresh_stack),
    Phase(
        "the first night",
        fresh.TABLE,
        fresh.first_night,
        (*fresh.AGAIN, *fresh.SERVED, *trained.ONCE, *served.ANSWERS, *trained.AGAIN, "previous_kept"),
    ),
    Phase("the same night again", fresh.AGAIN, fresh.second_run),
    Phase("what passengers get", fresh.SERVED, fresh.what_serves),
    Phase("trainings", trained.ONCE, trained.once, trained.AGAIN),
    Phase("versions and answers", served.VERSIONS, served.versions),
    Phase("gate and monitor", (*held.GATE, *held.MONITOR), held.gate_and_monitor, held.NIGHTS),
    Phase("first tick", ticks.FIRST, ticks.first_tick, (*trained.ANEW, *held.NIGHTS, "previous_kept")),
    Phase("trainings again", trained.AGAIN, trained.again, trained.FOUND),
    Phase("second tick", ticks.SECOND, ticks.second_tick, ("previous_kept", *held.NIGHTS)),
    Phase("ordinary nights", held.NIGHTS, held.ordinary_nights),
    Phase("third tick", ticks.THIRD, ticks.third_tick),
)


def grade(bench: Bench) -> None:
    """Give every wanted check a result."""
    phases.grade(bench, PHASES, lambda: Run(Pair(bench)))
