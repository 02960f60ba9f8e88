"""Stacks come up, can be worked with from anywhere, and go away whole: the same promises of every runtime."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest
from kits import Kit, kit, plan_of, running

from harness.errors import AttemptError, EnvironmentFault, NotReady, StackError, UsageError
from harness.model import ServiceSpec
from harness.runtime import ports
from harness.runtime.base import RunningStack, StackPlan
from harness.scenario import Scenario
from harness.waiting import until

pytestmark = pytest.mark.slow

BOOT_SECONDS = 60.0


@pytest.fixture(params=["process", "compose"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kit:
    return kit(request.param, tmp_path)


@pytest.fixture
def plan(tiny: Scenario, tmp_path: Path) -> StackPlan:
    return plan_of(tiny, "candidate", tmp_path)


@pytest.fixture
def stack(kind: Kit, plan: StackPlan) -> Iterator[RunningStack]:
    with running(kind, plan, BOOT_SECONDS) as stack:
        yield stack


def page(stack: RunningStack, path: str = "/word") -> str:
    return httpx.get(stack.endpoint("serving") + path, timeout=5.0).text.strip()


def pid_of(stack: RunningStack, service: str) -> int | None:
    return next(line.pid for line in stack.status() if line.name == service)


def all_run(stack: RunningStack) -> None:
    """Wait until every service runs: a process that is just being started shows no environment to be told by."""
    until(lambda: all(line.state == "running" for line in stack.status()), BOOT_SECONDS)


def test_a_stack_that_is_up_answers_and_says_so(stack: RunningStack) -> None:
    assert page(stack) == "healthy"
    all_run(stack)
    assert {line.name for line in stack.status()} == {"serving", "idle"}
    assert "asked /word" in stack.logs("serving")
    assert stack.log_command("serving", 5, False)[0] in ("tail", "docker")
    with pytest.raises(UsageError, match="serving"):
        stack.log_command("singing", 5, False)


def test_another_terminal_finds_the_stack_and_restarts_a_service(
    kind: Kit, stack: RunningStack, plan: StackPlan
) -> None:
    other = kind.runtime.attach(plan.folder)
    before = pid_of(stack, "serving")
    stack.write("word.txt", b"other")
    assert other.restart("serving") < BOOT_SECONDS
    assert pid_of(other, "serving") != before
    assert page(other) == "other"


def test_down_leaves_nothing(kind: Kit, stack: RunningStack, plan: StackPlan) -> None:
    port = int(stack.endpoint("serving").rsplit(":", 1)[1])
    assert kind.left(plan.folder)
    kind.runtime.down(plan.folder)
    assert kind.left(plan.folder) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with pytest.raises(AttemptError):
        kind.runtime.attach(plan.folder)
    kind.runtime.down(plan.folder)


def test_down_ends_what_a_crash_left_behind(kind: Kit, stack: RunningStack, plan: StackPlan) -> None:
    kind.crash(stack)
    assert kind.left(plan.folder), "something outlives its supervisor"
    kind.runtime.down(plan.folder)
    assert kind.left(plan.folder) == []


def test_a_crashed_service_comes_back(kind: Kit, stack: RunningStack) -> None:
    pid = pid_of(stack, "serving")
    kind.inside(stack, f"kill -9 {pid}")

    def back() -> bool:
        return any(line.name == "serving" and line.state == "running" and line.pid != pid for line in stack.status())

    until(back, 30.0)


def test_a_service_that_ends_at_once_is_not_ready_and_its_log_says_why(kind: Kit, plan: StackPlan) -> None:
    (plan.workspace / "bin" / "serve").write_text("#!/bin/sh\necho no such model; exit 1\n", encoding="utf-8")
    with pytest.raises(NotReady, match="no such model") as caught:
        kind.runtime.up(plan, BOOT_SECONDS, lambda _: None)
    assert caught.value.stack == "candidate"
    assert kind.left(plan.folder) == []


def test_a_service_that_hangs_is_not_ready_at_the_deadline(kind: Kit, plan: StackPlan) -> None:
    (plan.workspace / "bin" / "serve").write_text("#!/bin/sh\nexec sleep 1000\n", encoding="utf-8")
    with pytest.raises(NotReady, match="not ready after"):
        kind.runtime.up(plan, 3.0, lambda _: None)
    assert kind.left(plan.folder) == []


def test_a_taken_port_is_said_and_nothing_is_left(kind: Kit, plan: StackPlan) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFault, match=str(port)):
            kind.runtime.up(plan.model_copy(update={"ports": {"serving": port}}), BOOT_SECONDS, lambda _: None)
    assert kind.left(plan.folder) == []


def test_a_fixed_port_is_kept(kind: Kit, plan: StackPlan) -> None:
    port = ports.draw()
    with running(kind, plan.model_copy(update={"ports": {"serving": port}}), BOOT_SECONDS) as stack:
        assert stack.endpoint("serving") == f"http://127.0.0.1:{port}"


def test_a_graded_stack_runs_without_what_is_for_live_attempts(kind: Kit, plan: StackPlan) -> None:
    extra = ServiceSpec(name="live", owner="harness", command=("/bin/sh", "-c", "exec sleep 9"), graded=False)
    graded = plan.model_copy(update={"graded": True, "services": (*plan.services, extra)})
    with running(kind, graded, BOOT_SECONDS) as stack:
        assert "live" not in {line.name for line in stack.status()}


def test_a_job_gives_its_exit_code_and_output(stack: RunningStack) -> None:
    said = stack.run_job("speak", ["one", "two"], 20.0)
    assert (said.exit_code, said.output.strip()) == (0, "one two")
    assert stack.run_job("speak", ["badly"], 20.0).exit_code == 3
    with pytest.raises(UsageError, match="speak"):
        stack.run_job("sing", [], 1.0)


def test_a_job_is_ended_at_its_deadline_with_its_children(kind: Kit, stack: RunningStack) -> None:
    all_run(stack)
    before = kind.processes(stack)
    assert stack.run_job("speak", ["for-ever"], 1.0).exit_code is None
    until(lambda: kind.processes(stack) <= before, 30.0)


def test_a_job_that_does_not_start_is_the_stacks_fault(kind: Kit, stack: RunningStack) -> None:
    stack.remove("bin/speak")
    with pytest.raises(StackError, match="does not start") as caught:
        stack.run_job("speak", [], 5.0)
    assert caught.value.stack == "candidate"


def test_the_day_advances_with_its_files(kind: Kit, stack: RunningStack) -> None:
    stack.advance_day(date(2024, 6, 2), {"feeds/a.csv": b"x\n"})
    assert page(stack, "/date") == "2024-06-02"
    assert stack.read("feeds/a.csv") == b"x\n"
    assert stack.listing("feeds") == ("feeds/a.csv",)
    assert kind.inside(stack, "echo y >> feeds/a.csv; cat feeds/a.csv") == "x\ny\n", "the candidate's own to change"


def test_files_are_read_and_removed_whatever_their_modes(kind: Kit, stack: RunningStack) -> None:
    kind.inside(stack, "mkdir -p locked/deep; echo x > locked/deep/file; chmod 000 locked/deep/file locked")
    assert stack.listing("locked") == ("locked/deep/file",)
    assert stack.read("locked/deep/file") == b"x\n"
    stack.remove("locked")
    assert stack.listing("locked") == ()
    stack.remove("locked")
    assert stack.read("nonesuch/file") is None


def test_a_file_that_is_written_anew_keeps_its_mode(kind: Kit, stack: RunningStack) -> None:
    stack.write("go", b"#!/bin/sh\n")
    kind.inside(stack, "chmod 751 go")
    stack.write("go", b"#!/bin/sh\nexit 0\n")
    assert kind.inside(stack, "stat -c %a go").strip() == "751"


def test_links_are_neither_read_nor_written_through(kind: Kit, stack: RunningStack) -> None:
    kind.inside(stack, "mkdir -p /tmp/exam-secret; echo hidden > /tmp/exam-secret/file")
    kind.inside(stack, "ln -s /tmp/exam-secret door; ln -s /tmp/exam-secret/file window; mkfifo pipe")
    try:
        assert stack.read("door/file") is None
        assert stack.read("window") is None
        assert stack.read("../tmp/exam-secret/file") is None
        assert stack.listing("door") == ()
        with pytest.raises(StackError):
            stack.write("door/new", b"x")
        stack.remove("door/file")
        assert kind.inside(stack, "ls /tmp/exam-secret; cat /tmp/exam-secret/file").split() == ["file", "hidden"]
    finally:
        kind.inside(stack, "rm -r /tmp/exam-secret")


def test_a_pipe_in_a_files_place_is_no_file(kind: Kit, stack: RunningStack) -> None:
    kind.inside(stack, "mkfifo pipe")
    assert stack.read("pipe") is None
    assert "pipe" not in stack.listing(".")
