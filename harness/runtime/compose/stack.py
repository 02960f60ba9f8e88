"""A running stack in containers."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from docker.models.containers import Container

from harness.errors import AttemptError, EnvironmentFault, NotReady, StackError, UsageError
from harness.model import JobResult, ServiceSpec
from harness.runtime.base import Progress, ServiceStatus, StackPlan
from harness.runtime.compose import description
from harness.runtime.compose.engine import ADDRESS, SERVICE_LABEL, STACK, Failures, containers
from harness.runtime.compose.files import Files
from harness.runtime.compose.volumes import take
from harness.runtime.inside import places
from harness.waiting import DeadlinePassed, until

STATES = {"RUNNING": "running", "STARTING": "starting", "BACKOFF": "failed", "FATAL": "failed", "EXITED": "failed"}
RESTART_SECONDS = 120.0
JOB_GRACE_SECONDS = 30.0
"""What starting and ending a job in a container may take beyond its deadline, on a machine under load."""

JOB_BYTES = 2**20
CANDIDATE = str(places.UIDS["workspace"])
LOOK_EARLY_S = 3.0
"""How often a boot looks whether a service has given up: it costs a process in the container."""


class ComposeStack:
    """Implements `RunningStack` with the containers of one project."""

    def __init__(self, plan: StackPlan) -> None:
        self.name = plan.name
        self.plan = plan
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
        command = [*self._exec("box"), "python", "-m", "harness.runtime.inside.job", *words]
        began = time.monotonic()
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=deadline_s + JOB_GRACE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return JobResult(None, time.monotonic() - began, "(the job could not be ended)")
        return self._job_result(job, done, time.monotonic() - began)

    def _job_result(self, job: str, done: subprocess.CompletedProcess[bytes], seconds: float) -> JobResult:
        """What the box says of a job; it may be forged by who is examined, and nothing rests on it alone."""
        try:
            said = json.loads(done.stdout[:JOB_BYTES])
            code = None if said["exit_code"] is None else int(said["exit_code"])
            return JobResult(code, seconds, str(said["output"]))
        except (ValueError, KeyError, TypeError):
            end = done.stderr[-300:].decode("utf-8", "replace").strip()
            raise StackError(self.name, f"The job {job} does not start: {end or done.returncode}.") from None

    def advance_day(self, to: date, files: Mapping[str, bytes]) -> None:
        """See `Stack.advance_day`."""
        for path, content in files.items():
            self.write(path, content)
        self._ask("date", text=f"{to.isoformat()}\n")

    def logs(self, service: str, lines: int = 200) -> str:
        """See `Stack.logs`."""
        home = description.container_of(self._spec(service))
        words = ["tail", "-c", str(400 * lines), f"{places.LOGS}/{service}.log"]
        try:
            _, (out, _) = self.container(home).exec_run(words, demux=True, user=_user(home))
        except Failures:
            return ""
        return "\n".join((out or b"").decode("utf-8", "replace").splitlines()[-lines:])

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
        found = {entry["name"]: entry for entry in entries}
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
                    self._published[int(name.split("/")[0])] = f"http://{ADDRESS}:{places_here[0]['HostPort']}"
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
        return containers({STACK: str(self.plan.folder)})

    def _exec(self, home: str) -> list[str]:
        """The words that run a command in a container, as who works there."""
        user = _user(home)
        return ["docker", "exec", *(["-u", user] if user else []), str(self.container(home).name)]

    def _spec(self, service: str) -> ServiceSpec:
        if service not in self._services:
            raise UsageError(f"There is no service {service!r}; there are: {', '.join(self._services)}.")
        return self._services[service]

    def _ask(self, do: str, content: bytes = b"", **words: str) -> tuple[Any, bytes]:
        if self._files is None:
            self._files = Files(self.name, str(self.container("keeper").name))
        return self._files.ask(do, content, **words)

    def _states(self, home: str) -> list[dict[str, Any]]:
        try:
            return self._control(home, "status")
        except StackError:
            return []

    def _control(self, home: str, *words: str) -> list[dict[str, Any]]:
        """Ask the supervisor of a container. Raises StackError when it refuses, or is not there."""
        command = ["python", "-m", "harness.runtime.inside.control", *words]
        try:
            code, (out, err) = self.container(home).exec_run(command, demux=True, user=_user(home))
            if code == 0:
                found: list[dict[str, Any]] = json.loads(out)
                return found
        except (*Failures, ValueError, TypeError) as exc:
            raise StackError(self.name, f"{' '.join(words)}: its container does not answer: {str(exc)[:200]}") from exc
        said = (err or out or b"").decode("utf-8", "replace").strip()[-200:]
        raise StackError(self.name, f"{' '.join(words)}: {said or f'exit code {code}'}.")

    def _fail_early(self, spec: ServiceSpec) -> None:
        states = {entry["name"]: entry["statename"] for entry in self._states(description.container_of(spec))}
        if states.get(spec.name) == "FATAL":
            raise self._not_ready(spec.name, "ends again and again")

    def _not_ready(self, service: str, what: str) -> NotReady:
        end = self.logs(service, 12).strip() or "(no log)"
        return NotReady(self.name, f"{service} {what}. The end of its log:\n{end}", f"Run `exam logs {service}`.")

    def _status(self, spec: ServiceSpec, found: Mapping[str, Any] | None) -> ServiceStatus:
        if found is None:
            return ServiceStatus(name=spec.name, state="stopped", url="", detail="its container does not answer")
        state = STATES.get(str(found["statename"]), "stopped")
        url = self.endpoint(spec.name) if spec.ready else ""
        if state == "running" and spec.ready and not answers(url + spec.ready):
            state = "starting"
        detail = str(found["description"] if state == "running" else found["spawnerr"] or found["description"])
        return ServiceStatus(name=spec.name, state=state, url=url, pid=int(found["pid"]) or None, detail=detail)


def _user(home: str) -> str:
    """Who works in a container: in the box the candidate, though its first process is another user's."""
    return CANDIDATE if home == "box" else ""


def answers(url: str) -> bool:
    """Whether an address answers 200 within two seconds."""
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
