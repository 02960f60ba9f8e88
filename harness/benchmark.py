"""Figures of a scenario on this machine, all in one run: start against the same processes by hand, memory, grading.

Absolute times differ between machines and hours; what has a limit is a ratio, a share, or memory.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil

from harness import grading, proof
from harness import scenario as scenarios
from harness import variant as variants
from harness.errors import EnvironmentFault
from harness.figures import Figure
from harness.layout import site_in
from harness.model import Activity, Variant
from harness.proof import Row
from harness.runtime.base import StackPlan
from harness.runtime.process import MARK, ProcessRuntime, ProcessStack, by_hand
from harness.runtimes import runtime_named
from harness.scenario import Scenario
from harness.session import Session
from harness.waiting import DeadlinePassed, until
from harness.workspace import copy_site

START_RATIO = 1.25
IDLE_MB = 1600.0
NIGHTLY_MB = 1900.0
IDLE_SHARE = 0.10
GRADE_SECONDS = 300.0
BUSY_KINDS = ("boot", "load", "drill")
READY_SECONDS = 120.0
SETTLE_SECONDS = 30.0
"""After this long the monitor has looked once and holds what it will hold."""


def measure(session: Session, scenario_id: str, rounds: int, say: Callable[[str], None]) -> list[Figure]:
    """Measure everything with `rounds` rounds where a median is taken. What is started is ended."""
    scenario = scenarios.find(scenario_id, session.roots)
    variant = variants.draw(scenario, 1)
    began = time.monotonic()
    session.layouts.healthy(scenario, variant)
    laid_out = time.monotonic() - began
    plan = _plan(session, scenario, variant)
    try:
        figures = [Figure(what="history of a variant (0 when kept)", measured=f"{laid_out:.1f} s", limit="", ok=True)]
        figures += _starts(plan, rounds, say)
        figures += _memory(plan, variant, say)
    finally:
        ProcessRuntime().down(plan.folder)
        shutil.rmtree(plan.folder.parent, ignore_errors=True)
    return [*figures, *_grading(session, scenario, variant, say)]


def idle_share(activities: Sequence[Activity], seconds: float) -> float:
    """Share of a run in which nothing booted, no load ran and no drill was active, between 0 and 1."""
    busy = 0.0
    end = 0.0
    for stretch in sorted((a for a in activities if a.kind in BUSY_KINDS), key=lambda a: a.start):
        busy += max(0.0, stretch.end - max(end, stretch.start))
        end = max(end, stretch.end)
    return 1 - busy / seconds if seconds > 0 else 0.0


def pss_mb(folder: Path) -> float:
    """Proportional set size of all processes of a stack, in MB: shared pages count once."""
    total = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(folder):
                total += process.memory_full_info().pss
    return total / 1e6


def _starts(plan: StackPlan, rounds: int, say: Callable[[str], None]) -> Iterator[Figure]:
    ours: list[float] = []
    hand: list[float] = []
    for number in range(rounds):
        say(f"start and by hand, round {number + 1} of {rounds}")
        for measure_one, into in ((_start, ours), (_by_hand, hand)):
            into.append(measure_one(plan))
    ratio = statistics.median(ours) / statistics.median(hand)
    yield Figure(
        what="start to ready against the same processes by hand",
        measured=f"{ratio:.2f} ({statistics.median(ours):.1f} s against {statistics.median(hand):.1f} s)",
        limit=f"{START_RATIO:g}",
        ok=ratio <= START_RATIO,
    )


def _start(plan: StackPlan) -> float:
    began = time.monotonic()
    ProcessRuntime().up(plan, READY_SECONDS, lambda _: None)
    seconds = time.monotonic() - began
    ProcessRuntime().down(plan.folder)
    return seconds


def _by_hand(plan: StackPlan) -> float:
    """The services that can say that they are ready, started by plain Popen all at once."""
    began = time.monotonic()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        commands = by_hand(plan)
        for words, folder, environment, _ in commands:
            processes.append(
                subprocess.Popen(
                    words,
                    cwd=folder,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        for _, _, _, url in commands:
            _await(url)
        return time.monotonic() - began
    finally:
        ProcessRuntime().down(plan.folder)
        for process in processes:
            process.wait()


def _await(url: str) -> None:
    def ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(url, timeout=2.0).status_code == 200
        return False

    try:
        until(ready, READY_SECONDS, 0.2)
    except DeadlinePassed as exc:
        raise EnvironmentFault(f"{url} did not answer within {READY_SECONDS:.0f} s when started by hand.") from exc


def _memory(plan: StackPlan, variant: Variant, say: Callable[[str], None]) -> Iterator[Figure]:
    say("memory, idle and while the nightly runs")
    stack = ProcessRuntime().up(plan.model_copy(update={"graded": False}), READY_SECONDS, lambda _: None)
    assert isinstance(stack, ProcessStack)
    time.sleep(SETTLE_SECONDS)
    idle = statistics.median(pss_mb(plan.folder) for _ in range(5))
    yield Figure(what="PSS of a stack, idle", measured=f"{idle:.0f} MB", limit=f"{IDLE_MB:.0f} MB", ok=idle <= IDLE_MB)
    peak = _peak_during_nightly(stack, plan, variant)
    yield Figure(
        what="PSS while the nightly runs, at its peak",
        measured=f"{peak:.0f} MB",
        limit=f"{NIGHTLY_MB:.0f} MB",
        ok=peak <= NIGHTLY_MB,
    )


def _peak_during_nightly(stack: ProcessStack, plan: StackPlan, variant: Variant) -> float:
    with ThreadPoolExecutor(max_workers=1) as pool:
        job = pool.submit(stack.run_job, "nightly", ["--date", variant.business_date.isoformat()], 60.0)
        peak = 0.0
        while not job.done():
            peak = max(peak, pss_mb(plan.folder))
        job.result()
    return peak


def _grading(session: Session, scenario: Scenario, variant: Variant, say: Callable[[str], None]) -> Iterator[Figure]:
    say("a grade of the healthy tree")
    row = Row(name="healthy", kind="healthy", seed=variant.seed)
    job = proof.job_of(row, scenario, variant, session.layouts, session.home / "bench" / "row")
    record = grading.grade(job, session.layouts, runtime_named("process", session.home), lambda what, done, of: None)
    share = idle_share(record.activities, record.seconds)
    shutil.rmtree(session.home / "bench", ignore_errors=True)
    yield Figure(
        what="a grade of the healthy tree",
        measured=f"{record.seconds:.0f} s",
        limit=f"{GRADE_SECONDS:.0f} s",
        ok=record.seconds <= GRADE_SECONDS,
    )
    yield Figure(
        what="time of that grade with no boot, load or drill",
        measured=f"{share:.1%}",
        limit=f"{IDLE_SHARE:.0%}",
        ok=share <= IDLE_SHARE,
    )


def _plan(session: Session, scenario: Scenario, variant: Variant) -> StackPlan:
    folder = session.home / "bench" / "stack"
    shutil.rmtree(folder, ignore_errors=True)
    site = site_in(folder)
    copy_site(session.layouts.healthy(scenario, variant), site)
    clock = folder / "clock"
    clock.write_text(f"{variant.business_date.isoformat()}\n", encoding="utf-8")
    return StackPlan.of(scenario, site, clock, name="bench", folder=folder / "run", graded=True)
