"""What a runtime is: something that brings a stack up, finds it again, and takes it down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from pydantic import Field

from harness.model import JobSpec, Record, SendLoad, ServiceSpec, Site, Stack
from harness.scenario import Scenario

Progress = Callable[[str], None]
"""Called with one short sentence when something begins or is ready."""


class StackPlan(Record):
    """All that a runtime needs to bring a stack up. Plain data: it is kept beside the stack, to find it again.

    `folder` is the stack's own place for logs, sockets and state; `clock` the file that holds the business date.
    `environment` are the scenario's variables for services and jobs, with the placeholders of `ServiceSpec.command`.
    A `graded` stack runs without the services of live attempts. `ports` fixes ports by service; others are chosen.
    `attempt` says whose it is, for a runtime that labels what it starts. `sealed` is what a proctor is given that leads
    the attempt; None where none does.
    """

    name: str
    folder: Path
    scenario: Path
    workspace: Path
    registry: Path
    private: Path
    clock: Path
    services: tuple[ServiceSpec, ...]
    jobs: tuple[JobSpec, ...]
    environment: dict[str, str] = Field(default_factory=dict)
    graded: bool = False
    ports: dict[str, int] = Field(default_factory=dict)
    attempt: str = ""
    sealed: Path | None = None

    @classmethod
    def of(cls, scenario: Scenario, site: Site, clock: Path, *, name: str, folder: Path, graded: bool) -> StackPlan:
        """The stack of a scenario in the places of a site."""
        return cls(
            name=name,
            folder=folder,
            scenario=scenario.folder,
            workspace=site.workspace,
            registry=site.registry,
            private=site.private,
            clock=clock,
            services=scenario.spec.service,
            jobs=scenario.spec.job,
            environment=scenario.spec.environment,
            graded=graded,
        )


class ServiceStatus(Record):
    """One line of `exam status`: `state` is running, starting, stopped or failed."""

    name: str
    state: str
    url: str
    pid: int | None = None
    detail: str = ""


class RunningStack(Stack, Protocol):
    """A `Stack` with what only its owner does."""

    def status(self) -> tuple[ServiceStatus, ...]:
        """Every service as it stands now."""

    def variables(self) -> dict[str, str]:
        """What the scenario tells services and jobs by environment variables, for a candidate's own shell."""

    def log_command(self, service: str, lines: int, follow: bool) -> list[str]:
        """The command that shows the end of a service's log, and goes on with it. Raises UsageError as `logs` does."""


class Runtime(Protocol):
    """Brings stacks up and down.

    `certifiable` says whether its results may count in an exam, `proctored` whether a live attempt is led by a proctor
    inside its stack, which has the clock and the submission; else the session has them.
    """

    name: str
    certifiable: bool
    proctored: bool

    def up(self, plan: StackPlan, deadline_s: float, progress: Progress) -> RunningStack:
        """Start every service and wait until those that can say so are ready.

        Raises NotReady with the end of the log of a service that is not ready after `deadline_s` seconds, and
        EnvironmentFault when this machine cannot (a port taken, a tool missing). What was started is ended then.
        """

    def attach(self, folder: Path) -> RunningStack:
        """A stack that is up, from its folder. Raises AttemptError when there is none."""

    def down(self, folder: Path) -> None:
        """End every process of a stack, also what a crash left behind. Does nothing when there is none."""

    def driving(self, stacks: Sequence[RunningStack]) -> AbstractContextManager[SendLoad | None]:
        """How load is sent to these stacks while the block lasts; None: by a process of this machine."""
