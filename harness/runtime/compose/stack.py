"""A running stack in containers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

from docker.models.containers import Container
from pydantic import TypeAdapter

from harness.errors import AttemptError, EnvironmentFault, NotReady, StackError, UsageError
from harness.model import JobResult, Record, ServiceSpec
from harness.runtime.base import Progress, ServiceStatus, StackPlan
from harness.runtime.compose import description
from harness.runtime.compose.engine import ADDRESS, SERVICE_LABEL, STACK, address_of, containers, marked
from harness.runtime.compose.execs import Said, ask
from harness.runtime.compose.files import Files
from harness.runtime.compose.volumes import take
from harness.runtime.inside import places
from harness.runtime.services import LOG_LINES, Entry, answers, not_ready, spec_of, status
from harness.waiting import DeadlinePassed, until

RESTART_SECONDS = 120.0
JOB_GRACE_SECONDS = 30.0
"""What starting and ending a job in a container may take beyond its deadline, on a machine under load."""

JOB_BYTES = 2**20
CONTROL_SECONDS = 40.0
"""Stopping and starting a program takes ten at most, and its supervisor has twenty to answer."""

CONTROL_BYTES = 2**20
LOG_SECONDS = 10.0
LINE_BYTES = 400
"""What a line of a log is taken to have, when its last lines are read."""

CANDIDATE = str(places.UIDS["workspace"])
LOOK_EARLY_S = 3.0
"""How often a boot looks whether a service has given up: it costs a process in the container."""


class Ended(Record):
    """What `harness.runtime.inside.job` says of a job."""

    exit_code: int | None
    seconds: float
    output: str


ENTRIES = TypeAdapter(list[Entry])


class ComposeStack:
    """Implements `RunningStack` with the containers of one project."""

    def __init__(self, plan: StackPlan, home: str) -> None:
        self.name = plan.name
        self.plan = plan
        self.label = marked(home, str(plan.folder))
        self._services = {spec.name: spec for spec in plan.services if spec.graded or not plan.graded}
        self._ports = description.ports(self._services.values())
        self._found: dict[str, Container] = {}
        self._published: dict[int, str] = {}
        self._files: Files | None = None

    # --- Stack --------------------------------------------------------------------------------------------------------

    def endpoint(self, service: str) -> str:
        """See `Stack.endpoint`."""
        return self.published(self._ports[service])

    def restart(self, service: str) -> float:
        """See `Stack.restart`."""
        spec = self._spec(service)
        began = time.monotonic()
        self._control(description.container_of(spec), "restart", service)
        self.await_ready(spec, RESTART_SECONDS)
        return time.monotonic() - began

    def run_job(self, job: str, args: Sequence[str], deadline_s: float) -> JobResult:
        """See `Stack.run_job`."""
        if job not in {spec.name for spec in self.plan.jobs}:
            raise UsageError(f"There is no job {job!r}; there are: {', '.join(spec.name for spec in self.plan.jobs)}.")
        words = [job, f"{deadline_s:.3f}", *args]
        command = [*self._exec("box"), *places.PYTHON, "harness.runtime.inside.job", *words]
        began = time.monotonic()
        said = ask(command, deadline_s + JOB_GRACE_SECONDS, JOB_BYTES)
        seconds = time.monotonic() - began
        if said.late:
            return JobResult(None, seconds, "(the job could not be ended)")
        if said.flooded:
            raise StackError(self.name, f"The job {job} says more than {JOB_BYTES >> 20} MiB past its own output.")
        return self._job_result(job, said, seconds)

    def _job_result(self, job: str, said: Said, seconds: float) -> JobResult:
        """What the box says of a job; it may be forged by who is examined, and nothing rests on it alone."""
        try:
            ended = Ended.model_validate_json(said.out)
        except ValueError:
            raise StackError(self.name, f"The job {job} does not start: {said.sentence(300)}.") from None
        return JobResult(ended.exit_code, seconds, ended.output)

    def advance_day(self, to: date, files: Mapping[str, bytes]) -> None:
        """See `Stack.advance_day`."""
        for path, content in files.items():
            self.write(path, content)
        self._ask("date", text=f"{to.isoformat()}\n")

    def logs(self, service: str, lines: int = 200) -> str:
        """See `Stack.logs`."""
        home = description.container_of(self._spec(service))
        most = LINE_BYTES * lines
        # In the container, too, it ends: what stands in the log's place may be a pipe that nobody writes.
        words = ["timeout", "-s", "KILL", f"{LOG_SECONDS:.0f}", "tail", "-c", str(most), f"{places.LOGS}/{service}.log"]
        said = ask([*self._exec(home), *words], 2 * LOG_SECONDS, most)
        return "\n".join(said.out.decode("utf-8", "replace").splitlines()[-lines:])

    def read(self, path: str) -> bytes | None:
        """See `Stack.read`."""
        found, content = self._ask("read", path=path)
        return content if found else None

    def write(self, path: str, content: bytes) -> None:
        """See `Stack.write`."""
        self._ask("write", content, path=path)

    def remove(self, path: str) -> None:
        """See `Stack.remove`."""
        self._ask("remove", path=path)

    def listing(self, path: str) -> tuple[str, ...]:
        """See `Stack.listing`."""
        return tuple(self._ask("listing", path=path)[0])

    # --- RunningStack -------------------------------------------------------------------------------------------------

    def status(self) -> tuple[ServiceStatus, ...]:
        """See `RunningStack.status`."""
        homes = sorted({description.container_of(spec) for spec in self._services.values()})
        with ThreadPoolExecutor(max_workers=len(homes)) as pool:
            entries = [entry for found in pool.map(self._states, homes) for entry in found]
        found = {entry.name: entry for entry in entries}
        return tuple(self._status(spec, found.get(spec.name)) for spec in self._services.values())

    def variables(self) -> dict[str, str]:
        """See `RunningStack.variables`."""
        told: dict[str, str] = self.described()["environment"]
        return told

    def log_command(self, service: str, lines: int, follow: bool) -> list[str]:
        """See `RunningStack.log_command`."""
        words = self._exec(description.container_of(self._spec(service)))
        return [*words, "tail", "-n", str(lines), *(["-F"] if follow else []), f"{places.LOGS}/{service}.log"]

    # --- what only this runtime has -----------------------------------------------------------------------------------

    def described(self) -> dict[str, Any]:
        """The description of the stack, as its containers read it."""
        services = list(self._services.values())
        scenario = self.plan.scenario.name
        return description.described(services, self.plan.jobs, self.plan.environment, scenario, ADDRESS)

    def urls(self) -> dict[str, str]:
        """Service -> its address in the stack's own network."""
        return description.urls(list(self._services.values()))

    def published(self, port: int) -> str:
        """The base address here of a port that the door publishes. Raises EnvironmentFault when it does not."""
        if port not in self._published:
            door = self.container("door")
            door.reload()
            for name, places_here in (door.attrs["NetworkSettings"]["Ports"] or {}).items():
                if places_here:
                    inner = int(name.split("/")[0])
                    self._published[inner] = f"http://{address_of(inner)}:{places_here[0]['HostPort']}"
        if port not in self._published:
            raise EnvironmentFault(f"The stack's door does not publish port {port}.", "Take it down and start again.")
        return self._published[port]

    def container(self, service: str) -> Container:
        """A container of the project by its name in compose.yaml. Raises AttemptError when it is not there."""
        if service not in self._found:
            self._found = {each.labels[SERVICE_LABEL]: each for each in self._containers()}
        if service not in self._found:
            raise AttemptError(f"The stack has no container {service!r}.", "Run `exam down`, then `exam start` again.")
        return self._found[service]

    def forget(self) -> None:
        """Look the containers up again: one was made anew."""
        self._found.clear()

    def pages(self) -> dict[str, str]:
        """What a live attempt has for a browser: JupyterLab with its token, as the box has it in its environment."""
        told = dict(word.split("=", 1) for word in self.container("box").attrs["Config"]["Env"] if "=" in word)
        token = told.get("EXAM_JUPYTER_TOKEN", "")
        return {"jupyter": f"{self.published(places.JUPYTER_PORT)}/lab?token={token}"} if token else {}

    def collect(self, service: str, source: str, target: Path) -> None:
        """Copy the regular files of a folder in a container to an empty folder here."""
        take(self.container(service), source, target)

    def boot(self, deadline_s: float, progress: Progress) -> None:
        """Wait until the services that can say so are ready; the containers run already."""
        end = time.monotonic() + deadline_s
        for spec in self._services.values():
            if not spec.after:
                self.await_ready(spec, end - time.monotonic())
                progress(f"{spec.name} is ready")

    def await_ready(self, spec: ServiceSpec, seconds: float) -> None:
        """Wait until a service answers. Raises NotReady with the end of its log."""
        if not spec.ready:
            return
        url = self.endpoint(spec.name) + spec.ready
        looked = time.monotonic()

        def ready() -> bool:
            nonlocal looked
            if answers(url):
                return True
            if time.monotonic() - looked > LOOK_EARLY_S:
                self._fail_early(spec)
                looked = time.monotonic()
            return False

        try:
            until(ready, max(1.0, seconds))
        except DeadlinePassed as exc:
            raise self._not_ready(spec.name, f"is not ready after {seconds:.0f} s") from exc

    def _containers(self) -> list[Container]:
        return containers({STACK: self.label})

    def _exec(self, home: str) -> list[str]:
        """The words that run a command in a container, as who works there."""
        user = _user(home)
        return ["docker", "exec", *(["-u", user] if user else []), str(self.container(home).name)]

    def _spec(self, service: str) -> ServiceSpec:
        return spec_of(self._services, service)

    def _ask(self, do: str, content: bytes = b"", **words: str) -> tuple[Any, bytes]:
        if self._files is None:
            self._files = Files(self.name, str(self.container("keeper").name))
        return self._files.ask(do, content, **words)

    def _states(self, home: str) -> list[Entry]:
        try:
            return self._control(home, "status")
        except StackError:
            return []

    def _control(self, home: str, *words: str) -> list[Entry]:
        """Ask the supervisor of a container. Raises StackError when it refuses, is not there or talks nonsense."""
        command = [*self._exec(home), *places.PYTHON, "harness.runtime.inside.control", *words]
        said = ask(command, CONTROL_SECONDS, CONTROL_BYTES)
        if said.code is None:
            raise StackError(self.name, f"{' '.join(words)}: the supervisor of {home} does not answer.")
        if said.code != 0:
            raise StackError(self.name, f"{' '.join(words)}: {said.sentence(200)}.")
        try:
            return ENTRIES.validate_json(said.out)
        except ValueError:
            raise StackError(self.name, f"{' '.join(words)}: the supervisor of {home} talks nonsense.") from None

    def _fail_early(self, spec: ServiceSpec) -> None:
        states = {entry.name: entry.statename for entry in self._states(description.container_of(spec))}
        if states.get(spec.name) == "FATAL":
            raise self._not_ready(spec.name, "ends again and again")

    def _not_ready(self, service: str, what: str) -> NotReady:
        return not_ready(self.name, service, what, self.logs(service, LOG_LINES))

    def _status(self, spec: ServiceSpec, found: Entry | None) -> ServiceStatus:
        if found is None:
            return ServiceStatus(name=spec.name, state="stopped", url="", detail="its container does not answer")
        return status(spec, self.endpoint(spec.name) if spec.ready else "", found)


def _user(home: str) -> str:
    """Who works in a container: in the box the candidate, though its first process is another user's."""
    return CANDIDATE if home == "box" else ""
