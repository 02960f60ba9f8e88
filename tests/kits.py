"""Runtimes under test, with what a test must know of each to look behind it or to break it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import psutil
import pytest
from docker.models.containers import Container

from harness.layout import site_in
from harness.led import Led
from harness.runtime.base import RunningStack, Runtime, StackPlan
from harness.runtime.compose import ComposeRuntime, ComposeStack, engine_problem
from harness.runtime.compose.engine import STACK, client, containers, marked
from harness.runtime.inside import places
from harness.runtime.process import MARK, ProcessRuntime
from harness.scenario import Scenario
from harness.session import Session
from harness.waiting import until
from harness.workspace import copy_tree


class Kit(Protocol):
    """One runtime."""

    runtime: Runtime

    def left(self, folder: Path) -> list[str]:
        """What there is of a stack: nothing once it is down."""

    def inside(self, stack: RunningStack, command: str) -> str:
        """Run a shell command where the candidate works, as the candidate; its output."""

    def processes(self, stack: RunningStack) -> set[str]:
        """The processes that run where the candidate works."""

    def crash(self, stack: RunningStack) -> None:
        """Kill what supervises the candidate's services, as a crash would."""


class ProcessKit:
    def __init__(self, home: Path) -> None:
        self.runtime: Runtime = ProcessRuntime()

    def left(self, folder: Path) -> list[str]:
        return [str(process.pid) for process in _marked(folder)]

    def inside(self, stack: RunningStack, command: str) -> str:
        plan = _plan(stack)
        done = psutil.subprocess.run(["/bin/sh", "-c", command], cwd=plan.workspace, capture_output=True, check=False)
        return str(done.stdout.decode())

    def processes(self, stack: RunningStack) -> set[str]:
        return {str(process.pid) for process in _marked(_plan(stack).folder)}

    def crash(self, stack: RunningStack) -> None:
        pid = int((_plan(stack).folder / "supervisord.pid").read_text(encoding="utf-8"))
        os.kill(pid, signal.SIGKILL)
        until(lambda: ended(pid), 30.0)


def ended(pid: int) -> bool:
    """Whether a process runs no more; what nobody has waited for yet has ended, too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class ComposeKit:
    def __init__(self, home: Path) -> None:
        self.runtime: Runtime = ComposeRuntime(home)
        self._home = str(home)

    def left(self, folder: Path) -> list[str]:
        stack = marked(self._home, str(folder))
        label = {"label": f"{STACK}={stack}"}
        found = [*containers({STACK: stack}), *client().networks.list(filters=label)]
        return [str(each.name) for each in (*found, *client().volumes.list(filters=label))]

    def inside(self, stack: RunningStack, command: str) -> str:
        box = next(each for each in self._containers(stack) if "-box-" in str(each.name))
        _, output = box.exec_run(["/bin/sh", "-c", command], user="1000", workdir=places.WORKSPACE)
        return str(output.decode())

    def processes(self, stack: RunningStack) -> set[str]:
        own, *found = self.inside(stack, "echo /proc/$$ /proc/[0-9]*").split()
        return {*found} - {own}

    def crash(self, stack: RunningStack) -> None:
        for each in self._containers(stack):
            if "-box-" in str(each.name):
                each.kill()

    def _containers(self, stack: RunningStack) -> list[Container]:
        return containers({STACK: marked(self._home, str(_plan(stack).folder))})


@dataclass(frozen=True)
class Live:
    """One attempt in containers."""

    session: Session
    name: str

    @property
    def stack(self) -> ComposeStack:
        stack = self.session.stack(self.session.attempt(self.name))
        assert isinstance(stack, ComposeStack)
        return stack

    def of(self, service: str) -> Container:
        return self.stack.container(service)

    def shell(self, command: str, service: str = "box") -> tuple[int, str]:
        """Exit code and output of a shell command; in the box as the candidate."""
        user = "1000" if service == "box" else ""
        folder = places.WORKSPACE if service == "box" else None
        code, output = self.of(service).exec_run(["/bin/sh", "-c", command], user=user, workdir=folder)
        return code, output.decode("utf-8", "replace")

    def tasks(self) -> int:
        """How many processes and threads the kernel counts in the box."""
        counted = self.of("box").stats(stream=False)["pids_stats"]["current"]
        assert isinstance(counted, int)
        return counted

    def answers(self) -> bool:
        """Whether the page and the proctor answer within two seconds."""
        led = Led(self.stack)
        urls = (f"{self.stack.endpoint('serving')}/word", f"{led.url}/health")
        with suppress(httpx.HTTPError):
            return all(httpx.get(url, timeout=2.0).status_code == 200 for url in urls)
        return False


@contextmanager
def told(**variables: object) -> Iterator[None]:
    """With these environment variables, as compose.yaml reads them, while the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, str(value))
        yield


def needs_engine() -> None:
    """Skip the test, saying why, where no stack can run in containers."""
    problem = engine_problem()
    if problem:
        pytest.skip(problem)


def kit(name: str, home: Path) -> Kit:
    """The kit of a runtime; its test skips where the runtime cannot run."""
    if name == "process":
        return ProcessKit(home)
    needs_engine()
    return ComposeKit(home)


@contextmanager
def running(kit: Kit, plan: StackPlan, seconds: float) -> Iterator[RunningStack]:
    """A stack that is up as long as the block lasts."""
    stack = kit.runtime.up(plan, seconds, lambda _: None)
    try:
        yield stack
    finally:
        kit.runtime.down(plan.folder)


def plan_of(scenario: Scenario, name: str, folder: Path) -> StackPlan:
    """A stack of a scenario's own tree: workspace, registry, clock and what runs, all below the folder."""
    site = site_in(folder)
    copy_tree(scenario.folder / "workspace", site.workspace)
    clock = folder / "clock"
    clock.write_text("2024-06-01\n", encoding="utf-8")
    return StackPlan.of(scenario, site, clock, name=name, folder=folder / "run", graded=False)


def _plan(stack: RunningStack) -> StackPlan:
    plan = stack.plan  # type: ignore[attr-defined]
    assert isinstance(plan, StackPlan)
    return plan


def _marked(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
