"""Gate and monitor: four challengers of the business date, and the monitor's windows beside them."""

from __future__ import annotations

from scenario_base.drills import gate, monitor

from ..drills.run import Run

GATE = ("worse_held_back", "constant_held_back", "equal_held_back", "better_promoted")
MONITOR = (
    "monitor_silent_on_clean",
    "monitor_alerts_on_drift",
    "monitor_alerts_on_nulls",
    "monitor_alerts_on_wrong",
)
WINDOWS = (
    monitor.Kind("clean", ""),
    monitor.Kind("drift", "drift", named=True),
    monitor.Kind("nulls", "nulls", named=True),
    monitor.Kind("model_stale", "model_stale"),
    monitor.Kind("quality", "quality"),
)
CHALLENGES = (
    ("worse_held_back", "good", "worse", False),
    ("constant_held_back", "good", "constant", False),
    ("equal_held_back", "good", "good_again", False),
    ("better_promoted", "worse", "good", True),
)
"""Check, champion, challenger, and whether it is to be promoted."""


def gate_and_monitor(run: Run) -> None:
    """The monitor's windows need no serving and no registry, so they are looked at beside the gate's nights."""
    run.bench.side_by_side(lambda: challengers(run), lambda: monitor_windows(run))


def challengers(run: Run) -> None:
    """Worse, constant and equal challengers must be held back, a better one promoted."""
    pair, bench = run.pair, run.bench
    wanted = [check for check in GATE if bench.wants(check)]
    if not wanted:
        return
    with bench.guard(*wanted):
        pair.register(("good", "good_again", "worse", "constant"))
        for check, champion, challenger, promoted in CHALLENGES:
            if check in wanted:
                with bench.activity(f"gate: {challenger} against {champion}", "drill"):
                    bench.check(check, gate.challenge(pair, check, champion, challenger, promoted))


def monitor_windows(run: Run) -> None:
    """All windows in one run of the job; the reference runs its own only where a check fails."""
    bench = run.bench
    wanted = [check for check in MONITOR if bench.wants(check)]
    if not wanted:
        return
    with bench.guard(*wanted), bench.activity("the monitor's windows", "drill"):
        windows = monitor.Windows(run.pair, WINDOWS)
        probes = {
            "monitor_silent_on_clean": windows.silent,
            "monitor_alerts_on_drift": windows.drift,
            "monitor_alerts_on_nulls": windows.every("windows with missing values", ("nulls",)),
            "monitor_alerts_on_wrong": windows.every("windows of wrong answers", ("model_stale", "quality")),
        }
        for check in wanted:
            bench.check(check, probes[check])
