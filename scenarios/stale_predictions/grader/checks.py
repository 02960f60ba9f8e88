"""The hidden checks of this scenario, in the order in which they run.

Each phase sets its own preconditions (see `drills.pair`), so it may run alone. Two ticks: the second begins with a
restart of serving and the next business date.

    fresh stack     quality, drift, lineage of an answer; then which partition is used
    versions        promotion, rollback, cache, single answers; load while nothing else runs
    partitions      incomplete, expired, recovered; the monitor's windows beside them
    second tick     restart, next day: promotion and features again
    night           a night that must promote; the gate's challengers
    missing feed    the day after: refused, then delivered, then run twice
    end             going back to the version before; the first days of a month
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from scenario_base.drills import alerts, gate, lineage, load, monitor, promotion, quality, rows

from harness.model import Bench, Finding
from harness.probes.http import ask

from .drills import cache, features, nightly
from .drills.pair import Pair

L1, L2, L3, NEXT = 10, 11, 12, 13
"""Marks of the rates that the phases write (see `features.rates`); the drills of partitions have 1-3 and 20-50."""

LATENCY_SHARE = 0.4
CAPACITY_SHARE = 0.9
REPEAT_RATE = 15.0
"""Rates of the drills under load, as shares of the reference's capacity; and requests a second of repeats."""

PAIRS, SHORTEST_S, LONGEST_S = 400, 8.0, 12.0
"""A window under load holds so many requests of each stack, within these seconds: 20 lie above the 95th percentile."""

LATENCY_LIMIT, CAPACITY_LIMIT, REPEAT_LIMIT = 1.5, 2.5, 1.6
ROWS, COUNTERFACTUAL, SINGLES = 160, 40, 24

QUALITY_WITHIN = 0.05
"""Log loss. Measured on a variant: other honest training windows differ by -.002 to +.021, a constant by .13, and a
champion of the winter by .52."""

HONEST_DRIFT = 0.5
"""Added to the clean windows' distance, in standard deviations of the reference's risks. Measured on a variant:
champions of other honest training windows (30 to 90 days, up to D-1 … D-22) lie 0.13 to 0.38 apart, a constant 1.0,
a champion of the winter 1.8."""

WINDOWS = (
    monitor.Kind("clean", ""),
    monitor.Kind("drift", "drift", named=True),
    *(monitor.Kind(name, name) for name in ("features_stale", "model_stale", "quality")),
)


@dataclass
class Run:
    """What phases leave for later ones."""

    pair: Pair
    kept: dict[str, dict[str, bytes]] = field(default_factory=dict)
    hidden: quality.Hidden | None = None
    resolved: dict[str, Finding] = field(default_factory=dict)
    nights: nightly.Nights | None = None

    @property
    def bench(self) -> Bench:
        """The bench of the run."""
        return self.pair.bench


def grade(bench: Bench) -> None:
    """Give every wanted check a result."""
    every = tuple(check for _, checks, _ in PHASES for check in checks if bench.wants(check))
    with bench.guard(*every):
        run = Run(Pair(bench))
        keep_partitions(run)
        for name, checks, phase in PHASES:
            wanted = tuple(check for check in checks if bench.wants(check))
            if wanted:
                with bench.guard(*wanted), bench.activity(name, "drill"):
                    phase(run)


# --- first tick ------------------------------------------------------------------------------------------------------


def fresh_stack(run: Run) -> None:
    """Before anything is touched: what passengers get from the stack as it was handed in."""
    pair, bench = run.pair, run.bench
    if bench.wants("answer_resolves"):
        found = pair.both(lineage.answer_resolves(pair, {}))
        run.resolved = {pair.candidate.name: found.candidate, pair.reference.name: found.reference}
    if bench.wants("champion_quality", "served_scores_drift"):
        run.hidden = quality.ask_hidden(pair)
        with bench.guard("champion_quality"):
            quality.champion_quality(pair, run.hidden, QUALITY_WITHIN)


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
    if bench.wants("answer_resolves"):
        with bench.guard("answer_resolves"):
            pair.check_both("answer_resolves", lineage.answer_resolves(pair, run.resolved))
    features.await_level(pair, L1)
    answers_and_load(run)
    if bench.wants(*ROLLBACK):
        rollback_and_cache(run)
    if bench.wants("call_budget"):
        cache.budget(pair)


def answers_and_load(run: Run) -> None:
    """With the same version and the same rates on both stacks: single answers, then load with nothing beside it."""
    pair, bench = run.pair, run.bench
    if bench.wants("rows_agree"):
        with bench.guard("rows_agree"):
            rows_agree(run)
    if bench.wants("bad_rows_refused"):
        with bench.guard("bad_rows_refused"):
            first, last = pair.today, pair.today + timedelta(days=6)
            odd = rows.row_without_weather(pair.shared, first, last, pair.hours)
            asked = rows.cases(pair.fresh(1)[0], odd)
            pair.check_both("bad_rows_refused", rows.bad_rows(asked, bench.save))
    under_load(run)


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


def under_load(run: Run) -> None:
    """Latency at a rate both hold with ease, capacity near the reference's own, repeats at a low rate."""
    pair, bench = run.pair, run.bench
    if bench.wants("repeats_are_fast"):
        with bench.guard("repeats_are_fast"), bench.activity("repeated questions", "load"):
            repeats = load.repeated(cache.prime(pair).rows)
            load.measure(pair, load.Promise("repeats_are_fast", 0.5, REPEAT_LIMIT, REPEAT_RATE, 6.0, repeats))
    if not bench.wants("latency", "holds_load"):
        return
    with bench.guard("latency", "holds_load"):
        with bench.activity("capacity of the reference", "load"):
            held = load.capacity(pair)
        new = load.new_questions(pair)
        for check, limit, rate in (
            ("latency", LATENCY_LIMIT, LATENCY_SHARE * held),
            ("holds_load", CAPACITY_LIMIT, CAPACITY_SHARE * held),
        ):
            if bench.wants(check):
                with bench.guard(check), bench.activity(f"load: {check}", "load"):
                    seconds = min(LONGEST_S, max(SHORTEST_S, PAIRS / rate))
                    load.measure(pair, load.Promise(check, 0.95, limit, rate, seconds, new))


ROLLBACK = (
    "answer_follows_version",
    "answer_follows_features",
    "follows_rollback",
    "repeats_are_fast",
    "call_budget",
)


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
            features.await_level(pair, L2)
            cache.follows_features(pair, repeats)


def partitions_and_monitor(run: Run) -> None:
    """The drills of partitions mostly wait, so the monitor's windows run beside them."""
    run.bench.side_by_side(lambda: partitions(run), lambda: monitor_windows(run))


def monitor_windows(run: Run) -> None:
    """All windows in one run of the job; the reference runs its own only where a check fails."""
    bench = run.bench
    if not bench.wants(*MONITOR):
        return
    with bench.guard(*MONITOR), bench.activity("the monitor's windows", "drill"):
        windows = monitor.Windows(run.pair, WINDOWS)
        bench.check("monitor_silent_on_clean", windows.silent)
        bench.check("monitor_alerts_on_drift", windows.drift)
        stale = windows.every("stale windows", ("features_stale", "model_stale"))
        bench.check("monitor_alerts_on_stale", stale)
        bench.check("monitor_alerts_on_wrong", windows.every("windows of wrong answers", ("quality",)))


def partitions(run: Run) -> None:
    """Incomplete, expired, recovered."""
    pair, bench = run.pair, run.bench
    if not bench.wants(*EXPIRY):
        return
    before = {stack.name: alerts.alert_lines(stack) for stack in pair.stacks}
    bench.check("incomplete_skipped", features.incomplete(pair))
    bench.check("expired_refused", features.expired(pair, before))
    bench.check("expiry_recovers", features.recovers(pair))


# --- second tick -----------------------------------------------------------------------------------------------------


def second_tick(run: Run) -> None:
    """Serving is restarted, a day ends, its partition comes and another version is promoted."""
    pair, bench = run.pair, run.bench
    pair.register(("gamma",))
    restore_partitions(run)
    pair.both(pair.restart)
    pair.advance(bench.variant.business_date + timedelta(days=1))

    def next_day() -> None:
        if bench.wants("next_day_features"):
            bench.check("next_day_features", features.next_day(pair, NEXT))

    def promote() -> None:
        if bench.wants("follows_second_tick"):
            with bench.guard("follows_second_tick"):
                promotion.promote(pair, "follows_second_tick", "gamma")

    bench.side_by_side(next_day, promote)


def restore_partitions(run: Run) -> None:
    """Partitions as they were handed in: what is wrong with them is part of what is graded."""
    for stack in run.pair.stacks:
        features.restore(stack, run.kept[stack.name])


def night(run: Run) -> None:
    """A night that must promote, then challengers at the gate of the same night."""
    pair, bench = run.pair, run.bench
    pair.register(("alpha", "good", "good_again", "winter", "constant"))
    pair.advance(bench.variant.business_date + timedelta(days=1))
    if bench.wants(*NIGHT):
        run.nights = nightly.Nights(pair)
        night_that_promotes(run, run.nights)
    gates(run)


LINEAGE = "new_version_has_lineage"
REGISTRY = ("nightly_moves_alias", "nightly_champion_served")
NIGHT = (*REGISTRY, LINEAGE, "previous_kept")
GATE = ("worse_held_back", "constant_held_back", "equal_held_back", "better_promoted")


def night_that_promotes(run: Run, nights: nightly.Nights) -> None:
    """One night, looked at by the checks of registry and lineage."""
    pair, bench = run.pair, run.bench
    wanted = [check for check in NIGHT if bench.wants(check)]
    with bench.guard(*wanted), bench.activity("a night that must promote", "drill"):
        mine = nights.of(pair.candidate)
        if bench.wants(*REGISTRY):
            bench.check("nightly_moves_alias", nightly.moves_alias(pair, nights))
            pair.alias_moves = nights.that_promotes(pair.candidate).moved
            bench.check("nightly_champion_served", nightly.champion_served(pair, nights))
        if bench.wants(LINEAGE) and not lineage.new_version(pair, nights)(pair.candidate).ok:
            bench.check(LINEAGE, lineage.new_version(pair, nights))  # else its digest is looked at a night later
        if bench.wants("previous_kept"):
            kept = lineage.Kept.of(pair.history, {version.version: version.created for version in mine.known})
            replaced = {stack.name: pair.version(stack, "winter") for stack in pair.stacks}
            bench.check("previous_kept", lineage.previous_kept(pair, kept, replaced))


def gates(run: Run) -> None:
    """Worse, constant and equal challengers must be held back, a better one promoted."""
    pair, bench = run.pair, run.bench
    for check, champion, challenger, promoted in (
        ("worse_held_back", "good", "winter", False),
        ("constant_held_back", "good", "constant", False),
        ("equal_held_back", "good", "good_again", False),
        ("better_promoted", "winter", "good", True),
    ):
        if bench.wants(check):
            with bench.activity(f"gate: {challenger} against {champion}", "drill"):
                bench.check(check, gate.challenge(pair, check, champion, challenger, promoted))


def missing_feed(run: Run) -> None:
    """The day after: the arrivals do not come, come with their header only, come, and the night runs twice."""
    pair, bench = run.pair, run.bench
    pair.register(("good",))
    pair.advance(bench.variant.business_date + timedelta(days=2), without_arrivals=True)
    if bench.wants(*MISSING):
        bench.check("missing_source_said", nightly.missing_source(pair))
    with bench.guard(*(check for check in ("missing_source_recovers", LINEAGE) if bench.wants(check))):
        found = nightly.delivered(pair)
        if bench.wants(*MISSING):
            nightly.recovers(pair, found)
        if run.nights is not None and bench.wants(LINEAGE):
            bench.check(LINEAGE, lineage.another_digest(run.nights, found.of))
    if bench.wants(*MISSING):
        bench.check("second_run_same", nightly.second_run(pair))


def first_days_of_a_month(run: Run) -> None:
    """The last drill, for it moves the business date beyond the hidden days: to the second day of a month."""
    pair = run.pair
    to = second_of_a_month(pair.today)
    restore_partitions(run)
    pair.both(lambda stack: stack.advance_day(to, {}))
    pair.today = to
    run.bench.check("partition_order", features.order(pair))


def second_of_a_month(after: date) -> date:
    """The first second day of a month after a day: then D-1 is a first, D-2 and D-3 are days with large numbers."""
    day = after + timedelta(days=1)
    while day.day != 2:
        day += timedelta(days=1)
    return day


def keep_partitions(run: Run) -> None:
    """Remember the partitions as they were handed in: drills take them away, the second tick brings them back."""
    run.kept = {stack.name: features.snapshot(stack) for stack in run.pair.stacks}


MISSING = ("missing_source_said", "missing_source_recovers", "second_run_same")
FRESH = ("answer_resolves", "champion_quality", "served_scores_drift")
Phase = tuple[str, tuple[str, ...], Callable[[Run], None]]

EXPIRY = ("incomplete_skipped", "expired_refused", "expiry_recovers")
MONITOR = (
    "monitor_silent_on_clean",
    "monitor_alerts_on_drift",
    "monitor_alerts_on_stale",
    "monitor_alerts_on_wrong",
)

PHASES: tuple[Phase, ...] = (
    ("the fresh stack", FRESH, fresh_stack),
    ("which partition is used", ("newest_valid_features", "served_scores_drift"), newest_features),
    (
        "versions and answers",
        ("follows_promotion", "answer_resolves", "rows_agree", "bad_rows_refused", "latency", "holds_load", *ROLLBACK),
        follow_versions,
    ),
    ("partitions and monitor", (*EXPIRY, *MONITOR), partitions_and_monitor),
    ("second tick", ("next_day_features", "follows_second_tick"), second_tick),
    ("a night and the gate", (*NIGHT, *GATE), night),
    (
        "a night without its feed",
        (*MISSING, LINEAGE),
        missing_feed,
    ),
    ("the first days of a month", ("partition_order",), first_days_of_a_month),
)
