"""The nights after the first: what lands, what is refused, what recovers, and what is corrected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import pandas as pd
from scenario_base.drills import lineage
from scenario_base.drills.nights import DONE, Night, not_ended
from scenario_base.drills.rows import Row, at_another_hour

from harness.model import Stack
from harness.probes.wait import until

from ..drills import corrections, landed, quarantine, serving
from ..drills.feeds import SOURCES, Delivery
from ..drills.landed import Compared, Judged
from ..drills.run import Run, Tick, first_wrong, seen
from ..drills.truth import distances
from .held import stand

LANDED = (
    "unit_changes_again",
    "large_day_lands",
    "later_delivery_lands",
    "redelivery_upserts",
    "narrow_repeats_survive",
)
CORRECTIONS = ("affected_corrected", "others_untouched", "log_kept")
FIRST = (*LANDED, *CORRECTIONS, "paired_units_agree", "other_offset_same_hour")
SECOND = ("poisoned_source_quarantined", "other_sources_land")
THIRD = ("quarantine_recovers", "null_burst_quarantined", "previous_kept")
FIRST_DELIVERY_ONLY = "rows_cut/first_delivery_only"
"""The fault that reads no later delivery."""

ON_ROUTES, ON_OTHERS = 8, 8
ECHOED_ROWS, OFFSET_ROWS = 120, 24
LOGGED_S = 15.0
"""Answers may be written to the log a while after they were given; a slow machine gives longer."""


def deliver(run: Run, nights: int) -> None:
    """Let the deliveries of so many nights come, but for those that have; a night between is not run for it."""
    pair = run.pair
    pair.given()
    if run.first is None:
        run.first = run.plan.first(run.coming(1), pair.delivered)
    if nights >= 1 and pair.today < run.day(1):
        pair.advance(run.day(1), run.first.files)
    if nights >= 2 and pair.today < run.day(2):
        run.second = run.plan.second(run.coming(2))
        pair.advance(run.day(2), run.second.files)
    if nights >= 3 and pair.today < run.day(3):
        run.third = run.plan.third(run.coming(3), run.coming(2))
        pair.advance(run.day(3), run.third.files)


# --- first tick -------------------------------------------------------------------------------------------------------


def first_tick(run: Run) -> None:
    """Questions are logged, serving is restarted, a day ends; its night; what it landed, answers and corrected."""
    pair, bench = run.pair, run.bench
    deliver(run, 0)
    affected, others = ask_on_routes(run) if bench.wants(*CORRECTIONS) else ([], [])
    seen(pair, pair.restart)
    deliver(run, 1)
    run.night("first")
    if bench.wants(*LANDED):
        with bench.guard(*(check for check in LANDED if bench.wants(check))):
            what_landed(run)
    if bench.wants(*CORRECTIONS, "paired_units_agree", "other_offset_same_hour"):
        pair.both(run.settled)
    if bench.wants(*CORRECTIONS):
        with bench.guard(*(check for check in CORRECTIONS if bench.wants(check))):
            corrected(run, affected, others)
    if bench.wants("paired_units_agree"):
        with bench.guard("paired_units_agree"):
            units_agree(run)
    if bench.wants("other_offset_same_hour"):
        with bench.guard("other_offset_same_hour"):
            offsets_agree(run)


def what_landed(run: Run) -> None:
    """Rows of the first tick."""
    first = run.delivered_first()
    source_day = run.ticks["first"].truth.of(*first.large)
    large = [key for key in source_day.index if key not in set(first.planted)]

    def table(stack: Stack) -> Compared:
        return run.compared("first", stack)

    run.judge("unit_changes_again", lambda stack: landed.units_right(table(stack), first.again))
    run.judge("large_day_lands", lambda stack: landed.rows_there(table(stack), large))
    run.judge("later_delivery_lands", lambda stack: landed.rows_there(table(stack), first.late))
    unread = any(fault.id == FIRST_DELIVERY_ONLY for fault in run.bench.variant.faults)
    run.judge("redelivery_upserts", lambda stack: landed.upserted(table(stack), first.changed, first.late, unread))
    run.judge("narrow_repeats_survive", lambda stack: landed.repeats_survive(table(stack), first.planted))


def units_agree(run: Run) -> None:
    """The table's rows of a day in other units, and what answers echo of forecasts and routes in other units."""
    pair, first = run.pair, run.delivered_first()
    hours = run.ask(serving.every_hour(pair.fresh(serving.HOURS_ASKED), run.day(2)))
    routes = run.ask(pair.fresh(ECHOED_ROWS))
    right = distances(run.ticks["first"].truth.rows.reset_index())
    run.judge(
        "paired_units_agree",
        lambda stack: first_wrong(
            landed.units_right(run.compared("first", stack), first.paired),
            serving.units_right(hours.of(stack), run.skies),
            serving.distances_right(routes.of(stack), right),
        ),
    )


def offsets_agree(run: Run) -> None:
    """The same times as written at other offsets: a source's day in the table, and answers."""
    moved = run.delivered_first().moved
    base = [at_another_hour(row) if n % 2 else row for n, row in enumerate(run.pair.fresh(OFFSET_ROWS))]
    as_written, others = run.ask(base), [run.ask(each) for each in serving.other_offsets(base)]
    run.judge(
        "other_offset_same_hour",
        lambda stack: first_wrong(
            landed.weather_right(run.compared("first", stack), moved),
            serving.offsets_agree(as_written.of(stack), [each.of(stack) for each in others]),
        ),
    )


# --- corrections ------------------------------------------------------------------------------------------------------


def ask_on_routes(run: Run) -> tuple[list[Row], list[Row]]:
    """Ask about flights on the routes whose distance will change, and about others; returns both.

    Of the first, some are asked about that leave today, too: a correction of those would come too late.
    """
    pair = run.pair
    affected = [
        row | {"origin": origin, "dest": dest}
        for origin, dest in run.delivered_first().routes
        for row in pair.fresh(ON_ROUTES)
    ]
    twins = pair.shared.twins(affected[::4])
    gone = [row | {"sched_dep": f"{pair.today}{row['sched_dep'][10:]}"} for row in twins]
    others = pair.fresh(ON_OTHERS)
    run.ask([*affected, *gone, *others])
    names = {str(row["row_id"]) for row in (*affected, *gone, *others)}
    seen(pair, lambda stack: _await_log(stack, names, LOGGED_S * run.bench.pace))
    return affected, others


def _await_log(stack: Stack, names: set[str], seconds: float) -> None:
    def look() -> str | None:
        unlogged = names - {line["row_id"] for line in corrections.read(stack).lines}
        return f"{len(unlogged)} of {len(names)} are not" if unlogged else None

    until(stack, "answers are in the log", look, seconds)


def corrected(run: Run, affected: Sequence[Row], others: Sequence[Row]) -> None:
    """What the night of the first tick made of the log, by each stack's own table."""
    tick = run.ticks["first"]
    asked = [str(row["row_id"]) for row in (*affected, *others)]
    now = run.ask(run.pair.shared.twins(affected))

    def night(stack: Stack) -> corrections.Night:
        before, after = (log.of(stack) for log in tick.logs)
        return corrections.Night(tick.day, before, after, distances(tick.tables.of(stack)))

    def corrected_now(stack: Stack) -> Judged:
        said = now.of(stack).answers
        risks = {str(row["row_id"]): (a.model.version, a.p_late) for row, a in zip(affected, said, strict=True)}
        champion = tick.nights.of(stack).after.champion or ""
        served = {version for version, _ in risks.values()} == {champion}
        return corrections.affected_corrected(night(stack), asked, risks, champion if served else "")

    run.judge("affected_corrected", corrected_now)
    run.judge("others_untouched", lambda stack: corrections.others_untouched(night(stack)))
    onsets = [fault.onset for fault in run.bench.variant.faults if fault.onset is not None]
    given = corrections.given(run.bench.site.workspace, min(onsets, default=run.day(0)))
    run.judge("log_kept", lambda stack: corrections.log_kept(night(stack), given))


# --- second and third tick --------------------------------------------------------------------------------------------


def second_tick(run: Run) -> None:
    """Two sources break a published rule each; the third goes on."""
    deliver(run, 2)
    stand(run, "second")
    tick = run.night("second")
    second = run.second
    if second is None:
        raise RuntimeError("the second tick was not delivered")
    poisons = dict.fromkeys(second.poisons, second.day)
    run.judge(
        "poisoned_source_quarantined",
        lambda stack: first_wrong(_refused(run, tick, stack, poisons), _story_refused(run, tick, stack)),
    )
    run.judge("other_sources_land", lambda stack: _others_land(run, tick, stack, second.good, second.day))


def _refused(run: Run, tick: Tick, stack: Stack, poisons: dict[str, date]) -> Judged:
    night, table, alerts = tick.nights.of(stack), tick.tables.of(stack), tick.alerts.of(stack)
    found = [quarantine.refusal(stack, table, alerts, source, day) for source, day in poisons.items()]
    before = {each.source for each in tick.truth.refused if each.day >= run.day(0)}  # a night that failed says it late
    return quarantine.all_refused(found, _named(night), before)


def _named(night: Night) -> set[str]:
    said = night.report.get("quarantined")
    return {str(each) for each in said} if isinstance(said, list) else set()


def _others_land(run: Run, tick: Tick, stack: Stack, good: str, day: date) -> Judged:
    """On the days when a source was refused, the others' rows are there: those of the story, and the tick's."""
    wrong = not_ended(tick.nights.of(stack).result, DONE)
    table, truth = tick.tables.of(stack), tick.truth
    story = {
        (source, date.fromisoformat(when)) for _, when in truth.troubled() for source in SOURCES if when < str(day)
    }
    due = [(s, d) for s, d in sorted(story) if (s, str(d)) not in truth.troubled() and d >= run.pair.compared_from()]
    for source, when in [(good, day), *due]:
        wrong = wrong or quarantine.landed(table, truth.of(source, when), source, when)
    if wrong:
        return Judged(False, f"Where another source was refused, {wrong}.", "0 landed")
    sentence = f"{good} {day} landed beside two refused sources, and so did {len(due)} source-days of the story."
    return Judged(True, sentence, f"{len(due) + 1} landed")


def third_tick(run: Run) -> None:
    """One of the two is mended; two sources lack a column in more hours than the rule allows."""
    deliver(run, 3)
    tick = run.night("third")
    third = run.third
    if third is None:
        raise RuntimeError("the third tick was not delivered")
    run.judge("quarantine_recovers", lambda stack: _recovered(run, tick, stack, third.mended, third.mended_day))
    bursts = dict.fromkeys(third.bursts, third.day)
    run.judge(
        "null_burst_quarantined",
        lambda stack: first_wrong(_refused(run, tick, stack, bursts), _story_burst(run, tick, stack)),
    )
    run.judge("previous_kept", lambda stack: _kept(run, stack))


def _recovered(run: Run, tick: Tick, stack: Stack, source: str, day: date) -> Judged:
    """Mended deliveries landed, the tick's and the story's, and the tick's is said to be released."""
    table, truth = tick.tables.of(stack), tick.truth
    story = [(s, date.fromisoformat(d)) for s, d in sorted(truth.troubled()) if d >= str(run.pair.compared_from())]
    mended = [(s, d) for s, d in story if len(truth.of(s, d)) and (s, d) != (source, day)]
    wrong = quarantine.landed(table, truth.of(source, day), source, day)
    wrong = wrong or quarantine.released(quarantine.record(stack, source, day), source, day, tick.day)
    for of_story, when in mended:
        wrong = wrong or quarantine.landed(table, truth.of(of_story, when), of_story, when)
    if wrong:
        return Judged(False, f"Once mended, {wrong}.", "not recovered")
    sentence = f"{source} {day} landed once it was mended and is released; so did {len(mended)} source-days before."
    return Judged(True, sentence, f"{len(mended) + 1} landed")


def _never_mended(run: Run, tick: Tick) -> list[Delivery]:
    """The story's refused deliveries of days of which nothing was accepted."""
    truth, first = tick.truth, run.pair.compared_from()
    return [
        each for each in truth.refused if first <= each.day < run.day(0) and not len(truth.of(each.source, each.day))
    ]


def _story_refused(run: Run, tick: Tick, stack: Stack) -> Judged:
    """Nothing of the story's day that was never mended is in the table, and a record says why."""
    for each in _never_mended(run, tick):
        if not quarantine.record(stack, each.source, each.day).get("reason"):
            place = f"quarantine/{each.source}/{each.day}.json"
            return Judged(False, f"There is no {place} with a reason, where {each.refused}.", "no record")
    return _story_burst(run, tick, stack)


def _story_burst(run: Run, tick: Tick, stack: Stack) -> Judged:
    """Nothing of the story's day that was never mended is in the table."""
    table, never = tick.tables.of(stack), _never_mended(run, tick)
    there = pd.Series([_rows_of(table, each.source, each.day) for each in never], dtype=int)
    if there.any():
        each = never[int(there.argmax())]
        sentence = f"{there.max()} rows of {each.source} {each.day} are in the table, where {each.refused}."
        return Judged(False, sentence, f"{there.max()}")
    return Judged(True, f"Nothing of {len(never)} days that were never mended is in the table.", "0")


def _rows_of(table: pd.DataFrame, source: str, day: date) -> int:
    return int(((table["origin"] == source) & (table["date"] == str(day))).sum())


def _kept(run: Run, stack: Stack) -> Judged:
    """All versions that were there are there, and every night that promoted left the champion before as previous.

    Those with --challenger among them.
    """
    pair = run.pair
    kept = lineage.Kept.of(pair.history, pair.submitted) if stack is pair.candidate else lineage.Kept({})
    wrong = lineage.lost(pair.registry[stack.name], kept) + gaps(kept.created)
    nights = [tick.nights.of(stack) for tick in run.ticks.values()]
    promoted, forgotten = promotions([*nights, *run.challenged.get(stack.name, ())])
    wrong += forgotten
    previous = pair.registry[stack.name].alias("previous")
    problem = lineage.fetchable(stack, previous.version) if previous else "the alias previous is not set"
    wrong += [problem] if problem else []
    if wrong:
        return Judged(False, f"After four nights {wrong[0]}.", f"{len(wrong)}")
    return Judged(
        True, f"All {len(kept.created)} versions are kept, and {promoted} promotions left previous right.", "0"
    )


def promotions(nights: Sequence[Night]) -> tuple[int, list[str]]:
    """How many nights promoted, and a line for each after which previous is not the champion before."""
    promoted = [each for each in nights if each.moved and each.after.champion != each.before.champion]
    return len(promoted), [
        f"previous is {each.after.previous} after the night of {each.day}, the champion before it was "
        f"{each.before.champion}"
        for each in promoted
        if each.after.previous != each.before.champion
    ]


def gaps(created: Mapping[str, int]) -> list[str]:
    """A line for each number below the newest that no version has: MLflow gives none twice while a later one stands."""
    numbers = {int(number) for number in created}
    return [f"version {number} is gone" for number in range(1, max(numbers, default=0)) if number not in numbers]
