"""The fresh stack: what an answer leads to, the night of D, the table, and the night again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd
from scenario_base.drills import lineage, quality
from scenario_base.drills.nights import DONE, RUNNING, not_ended
from scenario_base.drills.nights import run as run_night
from scenario_base.drills.rows import AGREE

from harness.model import Finding, Stack
from harness.probes.http import ask

from ..drills import hidden, landed
from ..drills.landed import Compared, Judged
from ..drills.run import Run

RESOLVES = ("answer_resolves",)
TABLE = (
    "units_converted",
    "missing_stays_missing",
    "counts_reconcile",
    "every_row_lands",
    "table_weather_right",
)
AGAIN = ("second_run_same",)
SERVED = ("champion_quality",)
SAME_ROWS = 20


def fresh_stack(run: Run) -> None:
    """Before anything is touched: what an answer of the stack leads to. Judged once another version has served, too."""
    found = run.pair.both(lineage.answer_resolves(run.pair, {}))
    run.resolved = {run.pair.candidate.name: found.candidate, run.pair.reference.name: found.reference}


def first_night(run: Run) -> None:
    """The night of D, and what it makes of the table that was handed in."""
    run.night("night")
    judges: tuple[Callable[[Compared], Judged], ...] = (
        landed.units_right,
        landed.missing_stays_missing,
        landed.counts_reconcile,
        landed.every_row_lands,
        landed.weather_right,
    )
    for check, judge in zip(TABLE, judges, strict=True):
        run.judge(check, partial(_of_table, run, judge))


def _of_table(run: Run, judge: Callable[[Compared], Judged], stack: Stack) -> Judged:
    return judge(run.compared("night", stack))


def second_run(run: Run) -> None:
    """The same night again: rows, aliases and answers are as they were."""
    run.pair.check_both("second_run_same", lambda stack: _second_run(run, stack))


def what_serves(run: Run) -> None:
    """What passengers get once the night is over, from the champion that was handed in or that the night put there."""
    run.pair.both(run.settled)
    hidden.champion_quality(run.pair, quality.ask_hidden(run.pair))


def _second_run(run: Run, stack: Stack) -> Finding:
    pair = run.pair
    first, table = run.ticks["night"].nights.of(stack), run.ticks["night"].tables.of(stack)
    run.settled(stack)
    asked = pair.fresh_for(stack, SAME_ROWS)
    before = ask(stack, asked)
    night = run_night(pair, stack)
    after = ask(stack, pair.twins_for(stack, asked))
    saved = (pair.bench.save(f"second_run_same/{stack.name}.json", night.evidence()),)
    changed = sum(abs(a.p_late - b.p_late) > AGREE for a, b in zip(before, after, strict=True))
    again = pair.table(stack)
    wrong = not_ended(first.result, DONE) or not_ended(night.result, DONE, RUNNING)
    if not wrong and night.after != night.before:
        wrong = f"the aliases changed from {night.before} to {night.after}"
    if not wrong and not _same_rows(table, again):
        wrong = f"rows of the table changed ({len(table)} before, {len(again)} after)"
    if not wrong and changed:
        wrong = f"{changed} of {SAME_ROWS} answers changed"
    if wrong:
        return Finding(False, f"When the night of {pair.today} ran again, {wrong}.", "", saved)
    return Finding(True, f"The night of {pair.today} ran again and changed no row, alias or answer.", "0", saved)


def _same_rows(one: pd.DataFrame, two: pd.DataFrame) -> bool:
    columns = list(one.columns)
    first, second = (each.sort_values(columns, ignore_index=True)[columns] for each in (one, two))
    return bool(first.equals(second))
