"""Versions and answers: promotion, single answers under the same version, load, rollback."""

from __future__ import annotations

from datetime import timedelta

from scenario_base.drills import lineage, load, promotion, rows
from scenario_base.drills.rows import Row

from harness.model import Finding, Stack
from harness.probes.http import ask

from ..drills import serving, speed
from ..drills.landed import Judged
from ..drills.pair import Pair
from ..drills.run import Run, seen

ROLES = ("alpha", "beta", "good", "worse", "constant")
ANSWERS = (
    "served_weather_right",
    "missing_answered",
    "served_as_trained",
    "edge_rows_agree",
    "single_equals_batch",
)
LOAD = (load.LATENCY, load.CAPACITY)
VERSIONS = ("follows_promotion", "answer_resolves", *ANSWERS, "bad_rows_refused", *LOAD, "rollback_served")
ROWS, COUNTERFACTUAL, SINGLES, EDGES, MISSING = 120, 30, 24, 30, 40
MISSING_DAYS = 6
OWN_ROWS = 20


def versions(run: Run) -> None:
    """With alpha on both stacks, where the candidate can be made to serve it; load with nothing beside it."""
    pair, bench = run.pair, run.bench
    pair.register(ROLES)
    if bench.wants("follows_promotion"):
        with bench.guard("follows_promotion"):
            promotion.promote(pair, "follows_promotion", "alpha")
    pair.serve("alpha")
    if bench.wants("answer_resolves"):
        with bench.guard("answer_resolves"):
            pair.check_both("answer_resolves", lambda stack: _resolves(run, stack))
    if bench.wants(*ANSWERS):
        with bench.guard(*(check for check in ANSWERS if bench.wants(check))):
            answers(run)
    if bench.wants("bad_rows_refused"):
        with bench.guard("bad_rows_refused"):
            cases = rows.cases(pair.fresh(1)[0], _without_weather(run))
            pair.check_both("bad_rows_refused", rows.bad_rows(cases, bench.save))
    if bench.wants(*LOAD):
        with bench.guard(*(check for check in LOAD if bench.wants(check))):
            speed.under_load(pair)
    if bench.wants("rollback_served"):
        with bench.guard("rollback_served"):
            pair.serve("beta")
            promotion.promote(pair, "rollback_served", "alpha")


def _resolves(run: Run, stack: Stack) -> Finding:
    """An answer leads to what made it; and where both serve alpha, answers that say so are alpha's."""
    found = lineage.answer_resolves(run.pair, run.resolved)(stack)
    if not found.ok or not run.pair.common:
        return found
    asked = run.pair.fresh_for(stack, OWN_ROWS)
    judged = serving.own_answers(serving.Said(asked, ask(stack, asked)), "alpha", ROLES, run.models)
    return found if judged.ok else Finding(False, judged.sentence, judged.measured, found.evidence)


def _without_weather(run: Run) -> Row | None:
    ahead = run.pair.today + timedelta(days=1)
    found = serving.where_missing(run.pair.fresh(1), run.skies, ahead, MISSING_DAYS)
    return found[0] if found else None


def answers(run: Run) -> None:
    """Every hour of three days, plain flights, odd ones, alone and together."""
    pair, bench = run.pair, run.bench
    ahead = pair.today + timedelta(days=1)
    hours = run.ask(serving.every_hour(pair.fresh(serving.HOURS_ASKED), ahead))
    plain = pair.fresh(ROWS)
    plain += [rows.at_another_hour(row) for row in pair.fresh(COUNTERFACTUAL)]
    batch = run.ask(plain)
    missing = serving.where_missing(pair.fresh(MISSING), run.skies, ahead, MISSING_DAYS)
    odd = run.ask([*serving.edges(pair.fresh(EDGES)), *missing])

    def away(stack: Stack) -> dict[str, int]:
        return serving.shifts(hours.of(stack), run.skies)

    run.judge("served_weather_right", lambda stack: serving.weather_right(hours.of(stack), run.skies))
    run.judge("missing_answered", lambda stack: serving.missing_echoed(odd.of(stack), run.skies, away(stack)))
    run.judge("served_as_trained", lambda stack: _as_trained(run, stack, batch.of(stack), away(stack)))
    run.judge("edge_rows_agree", lambda stack: _as_trained(run, stack, odd.of(stack), away(stack)))
    if bench.wants("single_equals_batch"):
        alone = seen(pair, lambda stack: _alone(pair, stack, batch.of(stack)))
        run.judge("single_equals_batch", lambda stack: serving.alone_agrees(batch.of(stack), alone.of(stack)))


def _alone(pair: Pair, stack: Stack, batch: serving.Said) -> serving.Said:
    asked = pair.twins_for(stack, batch.rows[:SINGLES])
    return serving.Said(asked, pair.ask_each(stack, asked))


def _as_trained(run: Run, stack: Stack, said: serving.Said, away: dict[str, int]) -> Judged:
    """By the model that both serve; by whichever of the grader's the answers are of, where a version is kept to."""
    role = "alpha"
    if stack is run.pair.candidate and not run.pair.common:
        role = serving.which_role(said, ROLES, run.models)
    known = serving.Known.of(run.ticks["night"].tables.of(stack), run.pair.today)
    return serving.as_trained(said, role, run.models, known, run.skies, away)
