"""Gate and monitor: challengers of the business date, and the monitor's windows beside them; then ordinary nights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from scenario_base.drills import gate, monitor
from scenario_base.drills.nights import DONE, Night, not_ended

from harness.errors import StackError
from harness.model import Finding, Stack

from ..drills import gated
from ..drills.landed import Judged
from ..drills.run import Run, first_wrong

GATE = ("worse_held_back", "constant_held_back", "equal_held_back", "better_promoted")
NIGHTS = ("ordinary_night_gated",)
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
    ("worse_held_back", "good", "too_high", False),
    ("constant_held_back", "good", "constant", False),
    ("equal_held_back", "good", "good_again", False),
    ("equal_held_back", "nearly_good", "good", False),
    ("better_promoted", "too_high", "good", True),
)
"""Check, champion, challenger, and whether it is to be promoted. Whoever compares how flights are ranked, and not log
losses, takes `too_high` for `good`."""

CLOSE = ("nearly_good", "good")
ROLES = ("good", "good_again", "nearly_good", "worse", "too_high", "constant")
STANDING: Mapping[str, str] = {"first": "gamma", "second": "too_high"}
"""The champions before the nights of two ticks. The first finds so many flights called late in its holdout that whoever
says more of them are likely is better: `gamma`, by .04 to .10 in log loss than `good` (measured on five stories). The
second is to replace a champion that is worse than anything that a night trains."""


def gate_and_monitor(run: Run) -> None:
    """The monitor's windows need no serving and no registry, so they are looked at beside the gate's nights."""
    run.bench.side_by_side(lambda: challengers(run), lambda: monitor_windows(run))
    stand(run, "first")


def challengers(run: Run) -> None:
    """Worse, constant and equal challengers must be held back, a better one promoted."""
    pair, bench = run.pair, run.bench
    wanted = [check for check in GATE if bench.wants(check)]
    if not wanted:
        return
    with bench.guard(*wanted):
        pair.register(ROLES)
        for check in wanted:
            probes = [_challenge(run, *each) for each in CHALLENGES if each[0] == check]
            bench.check(check, _every(probes))


def _every(probes: Sequence[Callable[[Stack], Finding]]) -> Callable[[Stack], Finding]:
    """A probe that makes others in order, up to the first that does not pass."""

    def probe(stack: Stack) -> Finding:
        found = []
        for each in probes:
            found.append(each(stack))
            if not found[-1].ok:
                return found[-1]
        evidence = tuple(path for each in found for path in each.evidence)
        return Finding(True, " ".join(each.sentence for each in found), found[0].measured, evidence)

    return probe


def _challenge(run: Run, check: str, champion: str, challenger: str, promoted: bool) -> Callable[[Stack], Finding]:
    def keep(stack: Stack, night: Night) -> None:
        run.challenged.setdefault(stack.name, []).append(night)

    def probe(stack: Stack) -> Finding:
        if (champion, challenger) == CLOSE and not _is_close(run, stack):
            return Finding(True, f"{challenger} against {champion}: not as close on this table's holdout.", "not asked")
        with run.bench.activity(f"gate: {challenger} against {champion}", "drill"):
            return gate.challenge(run.pair, check, champion, challenger, promoted, keep)(stack)

    return probe


def _is_close(run: Run, stack: Stack) -> bool:
    """Whether the challenger is better by less than the margin on the table as it stands, which a fault may have moved.

    A table that cannot be read is another check's.
    """
    champion, challenger = CLOSE
    try:
        rows = gated.holdout(run.pair.table(stack), run.pair.today)
    except StackError as exc:
        if exc.stack != stack.name:
            raise
        return False
    least, most = gated.BELOW_MARGIN
    return least <= gated.gain_on(rows, run.models, challenger, champion) <= most


# --- nights that train ------------------------------------------------------------------------------------------------


def stand(run: Run, tick: str) -> None:
    """Make the grader's model champion that the night of a tick is to be held against."""
    if run.bench.wants(*NIGHTS):
        role = STANDING[tick]
        run.pair.register((role,))
        run.pair.both(lambda stack: run.pair.switch(stack, run.pair.version(stack, role)))


def ordinary_nights(run: Run) -> None:
    """What the nights of two ticks decided of the versions that they trained: one is to be held, one promoted."""
    for tick in STANDING:
        if f"night {tick}" not in run.made:
            run.made_by_night(f"night {tick}", tick)
    run.judge("ordinary_night_gated", lambda stack: first_wrong(*(_gated(run, stack, tick) for tick in STANDING)))


def _gated(run: Run, stack: Stack, tick: str) -> Judged:
    night = run.ticks[tick].nights.of(stack)
    wrong = not_ended(night.result, DONE)
    if wrong:
        return Judged(False, f"Nothing was decided: {wrong}.", "no decision")
    made = run.made[f"night {tick}"].of(stack)
    return gated.night_gated(night, made, gated.declared_risks(run.models, STANDING[tick], made))


# --- the monitor ------------------------------------------------------------------------------------------------------


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
