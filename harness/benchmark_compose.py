"""Figures of stacks in containers, against the same containers by raw commands on the same engine."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil

from harness import authoring, grading
from harness import scenario as scenarios
from harness import variant as variants
from harness.errors import EnvironmentFault
from harness.figures import Figure
from harness.led import Led
from harness.runtime.compose import ComposeRuntime, ComposeStack
from harness.runtime.compose.engine import ROOT
from harness.runtime.compose.runtime import services_of
from harness.session import Session

START_RATIO = 1.3
NOOP_SECONDS = 1.5
IDLE_ATTEMPTS = 8
IDLE_GB = 24.0
TINY = "benchmark"
FILLED = {"keeper": "/workspace", "clock": "/clock", "traffic": "/private", "proctor": "/sealed"}
"""A container that has a volume -> the volume. (The clock is the keeper's, too.)"""

SETTLE_SECONDS = 30.0

Say = Callable[[str], None]


def measure(session: Session, scenario_id: str, rounds: int, say: Say) -> list[Figure]:
    """Measure with `rounds` rounds where a median is taken. What is started is ended, also when it fails."""
    home = session.home / "bench_compose"
    shutil.rmtree(home, ignore_errors=True)
    try:
        pack = authoring.new(TINY, home / "pack").parent
        here = Session(home / "home", (*session.roots, pack))
        here.layouts = session.layouts
        return [*_starts(here, scenario_id, rounds, say), *_noop(here, rounds, say), *_idle(here, scenario_id, say)]
    finally:
        for name in Session(home / "home", session.roots).names():
            Session(home / "home", session.roots).down(name)
        shutil.rmtree(home, ignore_errors=True)


def _starts(here: Session, scenario_id: str, rounds: int, say: Say) -> Iterator[Figure]:
    ours, hand = [], []
    for number in range(rounds):
        say(f"start in containers and by hand, round {number + 1} of {rounds}")
        began = time.monotonic()
        attempt, stack = here.start(scenario_id, 1, name="start", runtime="compose")
        ours.append(time.monotonic() - began - attempt.laid_out_seconds)
        assert isinstance(stack, ComposeStack)
        project, services = str(stack.container("box").labels["com.docker.compose.project"]), services_of(stack.plan)
        _gone(project, volumes=False)  # by hand the same services come up on the filled volumes
        try:
            hand.append(_timed(partial(_up, project, services)))
        finally:
            _gone(project)
            here.down("start")
    ratio = statistics.median(ours) / statistics.median(hand)
    yield Figure(
        what="start in containers to ready against `docker compose up --wait` by hand",
        measured=f"{ratio:.2f} ({statistics.median(ours):.1f} s against {statistics.median(hand):.1f} s)",
        limit=f"{START_RATIO:g}",
        ok=ratio <= START_RATIO,
    )


def _noop(here: Session, rounds: int, say: Say) -> Iterator[Figure]:
    """An attempt at the smallest scenario: up, one command, frozen, graded by one check, down."""
    ours, raw = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            say(f"an attempt that does nothing, round {number + 1} of {rounds}")
            services, seconds = _attempt(here, Path(folder) / str(number))
            ours.append(seconds)
            raw.append(_timed(partial(_raw_attempt, services, Path(folder) / str(number))))
    more = statistics.median(ours) - statistics.median(raw)
    yield Figure(
        what="an attempt that does nothing, over the raw commands",
        measured=f"{more:+.1f} s ({statistics.median(ours):.1f} s against {statistics.median(raw):.1f} s)",
        limit=f"{NOOP_SECONDS:g} s",
        ok=more <= NOOP_SECONDS,
    )


def _attempt(here: Session, kept: Path) -> tuple[list[str], float]:
    """Its containers, and seconds; what they had in their volumes is kept for the raw commands, outside that time."""
    name = f"noop-{uuid.uuid4().hex[:6]}"
    began = time.monotonic()
    attempt, stack = here.start(TINY, 1, name=name, runtime="compose")
    assert isinstance(stack, ComposeStack)
    services = services_of(stack.plan)
    stack.container("box").exec_run(["true"])
    copying = _timed(partial(_keep, stack, kept))
    submission = here.submit(attempt)
    here.down(name)
    scenario = scenarios.find(TINY, here.roots)
    job = grading.GradingJob(
        scenario=scenario,
        variant=variants.draw(scenario, 1),
        archive=submission.archive,
        attempt=name,
        folder=here.home / "reports" / name,
        only=("answers",),
    )
    grading.grade(job, here.layouts, ComposeRuntime(here.home), lambda what, done, of: None)
    return services, time.monotonic() - began - copying


def _keep(stack: ComposeStack, kept: Path) -> None:
    for name, folder in FILLED.items():
        (kept / name).mkdir(parents=True)
        _raw("cp", "-a", f"{stack.container('keeper' if name == 'clock' else name).name}:{folder}/.", str(kept / name))


def _raw_attempt(services: Sequence[str], kept: Path) -> None:
    """The same by the commands that one would type: an attempt with its proctor, then two graded stacks at once."""
    graded = [name for name in services if name not in ("proctor", "rehearsal")]
    live, *both = (f"exam-raw-{uuid.uuid4().hex[:6]}" for _ in range(3))
    try:
        _raw_up(services, kept, live)
        _raw("compose", "-p", live, "exec", "-T", "box", "true")
        _raw("cp", f"{live}-keeper-1:/workspace/.", str(kept / "frozen"))
        _gone(live)
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(partial(_raw_up, graded, kept), both))
    finally:
        with ThreadPoolExecutor(max_workers=3) as pool:
            list(pool.map(_gone, (live, *both)))


def _raw_up(services: Sequence[str], kept: Path, project: str) -> None:
    _raw("compose", "-p", project, "up", "--no-start", "--no-deps", "--no-build", "layout", *services)
    for name, folder in FILLED.items():
        if name in (*services, "clock"):
            _raw("cp", "-a", f"{kept / name}/.", f"{project}-layout-1:{folder}")
    _up(project, services)


def _gone(project: str, volumes: bool = True) -> None:
    _raw("compose", "-p", project, "down", "--timeout", "0", *(["--volumes"] if volumes else []))


def _idle(here: Session, scenario_id: str, say: Say) -> Iterator[Figure]:
    say(f"{IDLE_ATTEMPTS} idle attempts side by side")
    before = psutil.virtual_memory().available
    names = [f"idle-{number}" for number in range(IDLE_ATTEMPTS)]
    try:
        for name in names:
            here.start(scenario_id, 1, name=name, runtime="compose")
        time.sleep(SETTLE_SECONDS)
        taken = (before - psutil.virtual_memory().available) / 1e9
        answering = 0
        for name in names:
            stack = here.stack(here.attempt(name))
            assert isinstance(stack, ComposeStack)
            answering += bool(Led(stack).status())
    finally:
        for name in names:
            here.down(name)
    yield Figure(
        what=f"{IDLE_ATTEMPTS} idle attempts side by side",
        measured=f"{taken:.1f} GB, {answering} of {IDLE_ATTEMPTS} answer",
        limit=f"{IDLE_GB:g} GB",
        ok=taken <= IDLE_GB and answering == IDLE_ATTEMPTS,
    )


def _up(project: str, services: Sequence[str]) -> None:
    _raw("compose", "-p", project, "up", "--no-deps", "--no-build", "--wait", *services)


def _timed(do: Callable[[], None]) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began


def _raw(*words: str) -> str:
    """A command of Docker's client; raises EnvironmentFault with the end of what it said."""
    done = subprocess.run(
        ["docker", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise EnvironmentFault(f"`docker {' '.join(words)}` failed: {done.stderr.strip()[-300:]}")
    return done.stdout
