"""Answers: of the fresh stack, of one version after another, single, in a batch, repeated and under load."""

from __future__ import annotations

import time
from datetime import timedelta

from scenario_base.drills import load, promotion, quality, rows

from harness.model import Finding
from harness.probes.http import ask

from ..drills import cache, features, logged
from ..drills.run import Run

L1, L2, L3 = 10, 11, 12
"""Marks of the rates that the phases write (see `features.rates`); the drills of partitions have 1-3 and 20-50."""

REPEAT_RATE, REPEAT_LIMIT, REPEAT_S = 15.0, 1.6, 6.0
"""Requests a second of repeats, the limit as a ratio of medians, and seconds of a window; no question comes twice in
it."""

KEPT_S = 10.0
"""Between a question and its repeat, at least: while nothing changes, an answer is kept (BRIEF.md)."""

ROWS, COUNTERFACTUAL, SINGLES = 160, 40, 24

WORSE_BY, BETTER_BY = 0.05, 0.10
"""Log loss. Measured on a variant: other honest training windows differ by -.002 to +.021, a constant by .13, and a
champion of the winter by .52. A better model is welcome; one that is better by more knows what it cannot know."""

HONEST_DRIFT = 0.5
"""Added to the clean windows' distance, in standard deviations of the reference's risks. Measured on a variant:
champions of other honest training windows (30 to 90 days, up to D-1 … D-22) lie 0.13 to 0.38 apart, a constant 1.0,
a champion of the winter 1.8."""

RESOLVES, REPEATS = "answer_resolves", "repeats_are_fast"
FRESH = (RESOLVES, "champion_quality", "served_scores_drift")
NEWEST = ("newest_valid_features", "served_scores_drift")
ROLLBACK = ("answer_follows_version", "answer_follows_features", "follows_rollback", REPEATS, "call_budget")
LOAD = (load.LATENCY, load.CAPACITY)
VERSIONS = ("follows_promotion", RESOLVES, "rows_agree", "bad_rows_refused", *LOAD, *ROLLBACK)


def fresh_stack(run: Run) -> None:
    """Before anything is touched: what passengers get from the stack as it was handed in."""
    pair, bench = run.pair, run.bench
    if bench.wants(RESOLVES):
        found = pair.both(logged.answer_resolves(pair, {}))
        run.resolved = {pair.candidate.name: found.candidate, pair.reference.name: found.reference}
    if bench.wants("champion_quality", "served_scores_drift"):
        run.hidden = quality.ask_hidden(pair)
        with bench.guard("champion_quality"):
            quality.champion_quality(pair, run.hidden, WORSE_BY, BETTER_BY)


def newest_features(run: Run) -> None:
    """The partitions as they were handed in, with three of the grader's among them.

    That is mostly waiting: the grader's models are registered meanwhile, and distances computed.
    """
    pair, bench = run.pair, run.bench

    def check() -> None:
        if bench.wants("newest_valid_features"):
            bench.check("newest_valid_features", features.newest_valid(pair))

    def drift() -> None:
        if run.hidden is not None and bench.wants("served_scores_drift"):
            with bench.guard("served_scores_drift"):
                quality.served_drift(pair, run.hidden, HONEST_DRIFT)

    bench.side_by_side(check, pair.register, drift)


def follow_versions(run: Run) -> None:
    """Promotion, then the cache under another version, then rollback and the cache under other features."""
    pair, bench = run.pair, run.bench
    features.lay(pair, L1)
    if bench.wants("follows_promotion"):
        with bench.guard("follows_promotion"):
            promotion.promote(pair, "follows_promotion", "alpha")
    pair.serve("alpha")
    if bench.wants(RESOLVES):
        with bench.guard(RESOLVES):
            pair.check_both(RESOLVES, logged.answer_resolves(pair, run.resolved))
    features.await_level(pair, L1)
    answers_and_load(run)
    if bench.wants(*ROLLBACK):
        rollback_and_cache(run)
    if bench.wants("call_budget"):
        cache.budget(pair)


def answers_and_load(run: Run) -> None:
    """With the same version and the same rates on both stacks: single answers, then load with nothing beside it."""
    pair, bench = run.pair, run.bench
    asked = cache.prime_widely(pair) if bench.wants(REPEATS) else cache.Asked()
    if bench.wants("rows_agree"):
        with bench.guard("rows_agree"):
            rows_agree(run)
    if bench.wants("bad_rows_refused"):
        with bench.guard("bad_rows_refused"):
            first, last = pair.today, pair.today + timedelta(days=6)
            odd = rows.row_without_weather(pair.shared, first, last, pair.hours)
            cases = rows.cases(pair.fresh(1)[0], odd)
            pair.check_both("bad_rows_refused", rows.bad_rows(cases, bench.save))
    if bench.wants(REPEATS):
        with bench.guard(REPEATS), bench.activity("repeated questions", "load"):
            repeats_are_fast(run, asked)
    if bench.wants(*LOAD):
        with bench.guard(*(check for check in LOAD if bench.wants(check))):
            load.under_load(pair)


def repeats_are_fast(run: Run, asked: cache.Asked) -> None:
    """Record repeats_are_fast, with questions that were answered a while before."""
    time.sleep(max(0.0, asked.at + KEPT_S - time.monotonic()))
    repeated = load.repeated(asked.rows)
    load.measure(run.pair, load.Promise(REPEATS, 0.5, REPEAT_LIMIT, REPEAT_RATE, REPEAT_S, repeated))


def rows_agree(run: Run) -> None:
    """Record rows_agree: new flights and flights at another hour, in a batch and alone."""
    pair, check = run.pair, "rows_agree"
    asked = pair.fresh(ROWS)
    asked += [rows.at_another_hour(row) for row in pair.fresh(COUNTERFACTUAL)]
    batch = pair.both(lambda stack: ask(stack, asked, timeout=20.0))
    alone = pair.both(lambda stack: rows.ask_each(stack, asked[:: len(asked) // SINGLES]))
    risks = rows.differing(batch.candidate, batch.reference)
    singles = rows.differing(alone.candidate, alone.reference)
    echoed = rows.wrong_features(batch.candidate, batch.reference)
    saved = (run.bench.save(f"{check}/differences.json", {"batch": risks, "alone": singles, "features": echoed}),)
    wrong = [*risks, *singles, *echoed]
    if wrong:
        counts = f"{len(risks)} of {len(asked)} answers in a batch, {len(singles)} of {len(alone.candidate)} alone"
        sentence = f"{counts} and {len(echoed)} echoed features differ: {wrong[0]}."
        run.bench.record(check, Finding(False, sentence, f"{len(wrong)}", saved))
        return
    sentence = f"All {len(asked)} answers agree, in a batch and alone, and so do the features they echo."
    run.bench.record(check, Finding(True, sentence, "0", saved))


def rollback_and_cache(run: Run) -> None:
    """Alpha's answers are in the cache; then beta serves; then the alias goes back to alpha, with other rates."""
    pair, bench = run.pair, run.bench
    repeats = cache.prime(pair)
    if bench.wants("answer_follows_version"):
        with bench.guard("answer_follows_version"):
            cache.follows_version(pair, repeats, "beta")
    pair.serve("beta")
    features.lay(pair, L2)
    if bench.wants("follows_rollback"):
        with bench.guard("follows_rollback"):
            promotion.promote(pair, "follows_rollback", "alpha")
    if bench.wants("answer_follows_features"):
        with bench.guard("answer_follows_features"):
            pair.serve("alpha")
            cache.follows_features(pair, repeats, (L2, L3))
