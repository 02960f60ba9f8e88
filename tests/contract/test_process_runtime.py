"""Stacks of processes come up, can be worked with from anywhere, and go away whole."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import psutil
import pytest

from harness.errors import AttemptError, EnvironmentFault, NotReady, StackError, UsageError
from harness.layout import site_in
from harness.model import ServiceSpec
from harness.runtime.base import RunningStack, StackPlan
from harness.runtime.process import MARK, ProcessRuntime
from harness.scenario import Scenario
from harness.waiting import until
from harness.workspace import copy_tree

pytestmark = pytest.mark.slow

BOOT_SECONDS = 30.0


@pytest.fixture
def plan(tiny: Scenario, tmp_path: Path) -> StackPlan:
    site = site_in(tmp_path)
    copy_tree(tiny.folder / "workspace", site.workspace)
    clock = tmp_path / "clock"
    clock.write_text("2024-06-01\n", encoding="utf-8")
    return StackPlan(
        name="candidate",
        folder=tmp_path / "run",
        scenario=tiny.folder,
        workspace=site.workspace,
        registry=site.registry,
        private=site.private,
        clock=clock,
        services=tiny.spec.service,
        jobs=tiny.spec.job,
        environment=tiny.spec.environment,
    )


@pytest.fixture
def stack(plan: StackPlan) -> Iterator[RunningStack]:
    yield ProcessRuntime().up(plan, BOOT_SECONDS, lambda _: None)
    ProcessRuntime().down(plan.folder)


def marked(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def page(stack: RunningStack, path: str = "/word") -> str:
    return httpx.get(stack.endpoint("serving") + path, timeout=5.0).text.strip()


def test_a_stack_that_is_up_answers_and_says_so(stack: RunningStack) -> None:
    assert page(stack) == "healthy"
    until(lambda: all(line.state == "running" for line in stack.status()), 10.0)
    assert {line.name for line in stack.status()} == {"serving", "idle"}
    assert "asked /word" in stack.logs("serving")


def test_another_terminal_finds_the_stack_and_restarts_a_service(stack: RunningStack, plan: StackPlan) -> None:
    other = ProcessRuntime().attach(plan.folder)
    before = {line.name: line.pid for line in stack.status()}
    (plan.workspace / "word.txt").write_text("other", encoding="utf-8")
    assert other.restart("serving") < BOOT_SECONDS
    after = {line.name: line.pid for line in other.status()}
    assert after["serving"] != before["serving"]
    assert page(other) == "other"


def test_down_leaves_no_process_and_no_port(stack: RunningStack, plan: StackPlan) -> None:
    port = int(stack.endpoint("serving").rsplit(":", 1)[1])
    ProcessRuntime().down(plan.folder)
    assert marked(plan.folder) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with pytest.raises(AttemptError):
        ProcessRuntime().attach(plan.folder)


def test_down_ends_what_a_killed_supervisor_left_behind(stack: RunningStack, plan: StackPlan) -> None:
    supervisor = int((plan.folder / "supervisord.pid").read_text(encoding="utf-8"))
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(supervisor) or psutil.Process(supervisor).status() == "zombie", 10.0)
    assert marked(plan.folder), "the services outlive their supervisor"
    ProcessRuntime().down(plan.folder)
    assert marked(plan.folder) == []


def test_a_crashed_service_comes_back(stack: RunningStack) -> None:
    pid = next(line.pid for line in stack.status() if line.name == "serving")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        return any(line.name == "serving" and line.state == "running" and line.pid != pid for line in stack.status())

    until(back, 20.0)


def test_a_service_that_ends_at_once_is_not_ready_and_its_log_says_why(plan: StackPlan) -> None:
    (plan.workspace / "bin" / "serve").write_text("#!/bin/sh\necho no such model; exit 1\n", encoding="utf-8")
    with pytest.raises(NotReady, match="no such model") as caught:
        ProcessRuntime().up(plan, BOOT_SECONDS, lambda _: None)
    assert caught.value.stack == "candidate"
    assert marked(plan.folder) == []


def test_a_service_that_hangs_is_not_ready_at_the_deadline(plan: StackPlan) -> None:
    (plan.workspace / "bin" / "serve").write_text("#!/bin/sh\nexec sleep 1000\n", encoding="utf-8")
    with pytest.raises(NotReady, match="not ready after"):
        ProcessRuntime().up(plan, 3.0, lambda _: None)
    assert marked(plan.folder) == []


def test_a_taken_port_is_said_before_anything_starts(plan: StackPlan) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFault, match=str(port)):
            ProcessRuntime().up(plan.model_copy(update={"ports": {"serving": port}}), BOOT_SECONDS, lambda _: None)
    assert marked(plan.folder) == []


def test_a_fixed_port_is_kept(plan: StackPlan) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stack = ProcessRuntime().up(plan.model_copy(update={"ports": {"serving": port}}), BOOT_SECONDS, lambda _: None)
    try:
        assert stack.endpoint("serving") == f"http://127.0.0.1:{port}"
    finally:
        ProcessRuntime().down(plan.folder)


def test_a_graded_stack_runs_without_what_is_for_live_attempts(plan: StackPlan) -> None:
    extra = ServiceSpec(name="live", owner="harness", command=("/bin/sh", "-c", "exec sleep 9"), graded=False)
    graded = plan.model_copy(update={"graded": True, "services": (*plan.services, extra)})
    stack = ProcessRuntime().up(graded, BOOT_SECONDS, lambda _: None)
    try:
        assert "live" not in {line.name for line in stack.status()}
    finally:
        ProcessRuntime().down(plan.folder)


def test_a_job_gives_its_exit_code_and_output(stack: RunningStack) -> None:
    said = stack.run_job("speak", ["one", "two"], 10.0)
    assert (said.exit_code, said.output.strip()) == (0, "one two")
    assert stack.run_job("speak", ["badly"], 10.0).exit_code == 3
    with pytest.raises(UsageError, match="speak"):
        stack.run_job("sing", [], 1.0)


def test_a_job_is_ended_at_its_deadline_with_its_children(stack: RunningStack, plan: StackPlan) -> None:
    before = len(marked(plan.folder))
    assert stack.run_job("speak", ["for-ever"], 1.0).exit_code is None
    until(lambda: len(marked(plan.folder)) == before, 10.0)


def test_the_day_advances_with_its_files(stack: RunningStack) -> None:
    stack.advance_day(date(2024, 6, 2), {"feeds/a.csv": b"x\n"})
    assert page(stack, "/date") == "2024-06-02"
    assert stack.read("feeds/a.csv") == b"x\n"
    assert stack.listing("feeds") == ("feeds/a.csv",)


def test_links_are_neither_read_nor_written_through(stack: RunningStack, plan: StackPlan, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("hidden", encoding="utf-8")
    (plan.workspace / "door").symlink_to(secret)
    (plan.workspace / "window").symlink_to(secret / "file")
    assert stack.read("door/file") is None
    assert stack.read("window") is None
    assert stack.read("../secret/file") is None
    assert stack.listing("door") == ()
    with pytest.raises(StackError):
        stack.write("door/new", b"x")
    stack.remove("door/file")
    assert (secret / "file").exists()
