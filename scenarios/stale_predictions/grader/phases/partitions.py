"""Partitions: the next day's, incomplete, expired, recovered, a month's turn; and the monitor's windows."""

from __future__ import annotations

from datetime import date, timedelta

from scenario_base.drills import monitor, promotion

from ..drills import features
from ..drills.run import Run

NEXT = 13
"""The mark of the next day's rates (see `features.rates`)."""

WINDOWS = (
    monitor.Kind("clean", ""),
    monitor.Kind("drift", "drift", named=True),
    *(monitor.Kind(name, name) for name in ("features_stale", "model_stale", "quality")),
)
EXPIRY = ("incomplete_skipped", "expired_refused", "expiry_recovers")
MONITOR = (
    "monitor_silent_on_clean",
    "monitor_alerts_on_drift",
    "monitor_alerts_on_stale",
    "monitor_alerts_on_wrong",
)
SECOND_TICK = ("next_day_features", "follows_second_tick")
ORDER = ("partition_order",)


def monitor_windows(run: Run) -> None:
    """All windows in one run of the job; the reference runs its own only where a check fails."""
    bench, windows = run.bench, monitor.Windows(run.pair, WINDOWS)
    bench.check("monitor_silent_on_clean", windows.silent)
    bench.check("monitor_alerts_on_drift", windows.drift)
    bench.check("monitor_alerts_on_stale", windows.every("stale windows", ("features_stale", "model_stale")))
    bench.check("monitor_alerts_on_wrong", windows.every("windows of wrong answers", ("quality",)))


def incomplete_and_expired(run: Run) -> None:
    """Incomplete, expired, recovered; then partitions are as they were handed in."""
    pair, bench = run.pair, run.bench
    bench.check("incomplete_skipped", features.incomplete(pair))
    bench.check("expired_refused", features.expired(pair, run.said))
    bench.check("expiry_recovers", features.recovers(pair))
    run.restore_partitions()


def second_tick(run: Run) -> None:
    """Serving is restarted, a day ends, its partition comes and another version is promoted."""
    pair, bench = run.pair, run.bench
    pair.register(("gamma",))
    run.restore_partitions()
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


def days_of_another_month(run: Run) -> None:
    """The last drill, for it moves the business date beyond the hidden days."""
    run.restore_partitions()
    run.bench.check("partition_order", features.order(run.pair, where_text_misleads(run.pair.today)))


def where_text_misleads(after: date) -> tuple[date, date]:
    """The next second of a month, and the eleventh after it.

    D-1 is a first then, behind days with large numbers; and a tenth, behind a ninth. Dates that are written day first
    are sorted wrongly on the one, dates without leading zeros on the other.
    """
    second = after + timedelta(days=1)
    while second.day != 2:
        second += timedelta(days=1)
    return second, second + timedelta(days=9)
