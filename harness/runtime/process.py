"""Stacks as local processes, supervised by supervisord: for practice and for authors, never certifiable.

Each stack has a supervisord of its own, so that status, logs and restart work from any terminal; every process carries
the stack's mark in its environment, so that `down` finds what a crash left behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from harness.errors import AttemptError, EnvironmentFault, NotReady, StackError, UsageError
from harness.model import JobResult, SendLoad, ServiceSpec
from harness.runtime import ports as ports_here
from harness.runtime.base import Progress, RunningStack, ServiceStatus, StackPlan
from harness.runtime.programs import QUIET, STOP_SECONDS, Places, Program, configuration
from harness.runtime.services import LOG_LINES, Entry, answers, not_ready, spec_of, status
from harness.waiting import DeadlinePassed, until

MARK = "EXAM_STACK"
"""Environment variable that every process of a stack carries; its value is the stack's folder."""

LOOKS = 3
"""For what is to be ended: a supervisor may start something anew before it ends itself."""

MAX_READ = 64 * 2**20


class ProcessRuntime:
    """Implements `Runtime` with processes of this machine."""

    name = "process"
    certifiable = False
    proctored = False

    def up(self, plan: StackPlan, deadline_s: float, progress: Progress) -> RunningStack:
        """See `Runtime.up`."""
        plan.folder.mkdir(parents=True, exist_ok=True)
        plan = plan.model_copy(update={"ports": _ports(plan)})
        (plan.folder / "stack.json").write_text(plan.model_dump_json(indent=1), encoding="utf-8")
        try:
            stack = ProcessStack(plan)
            stack.boot(deadline_s, progress)
        except BaseException:
            self.down(plan.folder)
            raise
        return stack

    def attach(self, folder: Path) -> RunningStack:
        """See `Runtime.attach`."""
        path = folder / "stack.json"
        if not path.is_file():
            raise AttemptError("Nothing runs here.", "Run `exam start` first.")
        stack = ProcessStack(StackPlan.model_validate_json(path.read_text(encoding="utf-8")))
        if not stack.supervised():
            raise AttemptError("The stack's supervisor does not answer.", "Run `exam down`, then `exam start` again.")
        return stack

    def down(self, folder: Path) -> None:
        """See `Runtime.down`."""
        for _ in range(LOOKS):
            if not (found := list(_marked(folder))):
                break
            _end(found)
        shutil.rmtree(_socket(folder).parent, ignore_errors=True)
        (folder / "stack.json").unlink(missing_ok=True)

    def driving(self, stacks: Sequence[RunningStack]) -> AbstractContextManager[SendLoad | None]:
        """See `Runtime.driving`."""
        return contextlib.nullcontext()


class ProcessStack:
    """Implements `RunningStack`."""

    def __init__(self, plan: StackPlan) -> None:
        self.name = plan.name
        self.plan = plan
        self._services = {spec.name: spec for spec in plan.services if spec.graded or not plan.graded}
        self._jobs = {spec.name: spec for spec in plan.jobs}

    def boot(self, deadline_s: float, progress: Progress) -> None:
        """Start the supervisor and all services; those with `after` once that service is ready."""
        _supervisord(self.plan, self._services.values(), self._environment())
        first = [spec for spec in self._services.values() if not spec.after]
        for spec in first:
            self._start(spec.name)
        end = time.monotonic() + deadline_s
        for spec in first:
            self._await_ready(spec, end - time.monotonic())
            progress(f"{spec.name} is ready")
        for spec in self._services.values():
            if spec.after:
                self._start(spec.name)

    def supervised(self) -> bool:
        """Whether the supervisor answers."""
        try:
            return bool(self._rpc().getState()["statecode"] == 1)
        except (OSError, xmlrpc.client.Error):
            return False

    def endpoint(self, service: str) -> str:
        """See `Stack.endpoint`."""
        return f"http://127.0.0.1:{self.plan.ports[service]}"

    def status(self) -> tuple[ServiceStatus, ...]:
        """See `RunningStack.status`."""
        found = {entry["name"]: Entry.of(entry) for entry in self._rpc().getAllProcessInfo()}
        return tuple(
            status(spec, self.endpoint(spec.name) if spec.ready else "", found[spec.name])
            for spec in self._services.values()
        )

    def variables(self) -> dict[str, str]:
        """See `RunningStack.variables`."""
        places = _places(self.plan)
        return {name: places.fill(value) for name, value in self.plan.environment.items()}

    def log_command(self, service: str, lines: int, follow: bool) -> list[str]:
        """See `RunningStack.log_command`."""
        return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(self._log_file(service))]

    def _log_file(self, service: str) -> Path:
        spec_of(self._services, service)
        return self.plan.folder / "logs" / f"{service}.log"

    def logs(self, service: str, lines: int = 200) -> str:
        """See `Stack.logs`."""
        path = self._log_file(service)
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])

    def restart(self, service: str) -> float:
        """See `Stack.restart`."""
        spec = spec_of(self._services, service)
        began = time.monotonic()
        with contextlib.suppress(xmlrpc.client.Fault):
            self._rpc().stopProcess(service)
        self._start(service)
        self._await_ready(spec, 120.0)
        return time.monotonic() - began

    def run_job(self, job: str, args: Sequence[str], deadline_s: float) -> JobResult:
        """See `Stack.run_job`."""
        if job not in self._jobs:
            raise UsageError(f"There is no job {job!r}; there are: {', '.join(self._jobs)}.")
        command = [*self._jobs[job].command, *args]
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(
                    _in_workspace(command, self.plan.workspace),
                    cwd=self.plan.workspace,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as exc:
                raise StackError(self.name, f"The job {job} does not start: {exc}.") from exc
            try:
                code: int | None = process.wait(deadline_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end_group(process)
            return JobResult(code, time.monotonic() - began, _tail(output, 20_000))

    def advance_day(self, to: date, files: Mapping[str, bytes]) -> None:
        """See `Stack.advance_day`."""
        for path, content in files.items():
            self.write(path, content)
        _replace(self.plan.clock, f"{to.isoformat()}\n".encode())

    def read(self, path: str) -> bytes | None:
        """See `Stack.read`."""
        target = self._inside(path)
        if target is None or not target.is_file():
            return None
        with target.open("rb") as file:
            return file.read(MAX_READ)

    def write(self, path: str, content: bytes) -> None:
        """See `Stack.write`."""
        target = self._inside(path)
        if target is None:
            raise StackError(self.name, f"{path} leads out of the workspace by a link.")
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, content)

    def remove(self, path: str) -> None:
        """See `Stack.remove`."""
        target = self._inside(path)
        if target is None or not target.exists():
            return
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    def listing(self, path: str) -> tuple[str, ...]:
        """See `Stack.listing`."""
        target = self._inside(path)
        if target is None or not target.is_dir():
            return ()
        return tuple(
            sorted(
                found.relative_to(self.plan.workspace).as_posix()
                for found in target.rglob("*")
                if found.is_file() and not found.is_symlink()
            )
        )

    def _inside(self, path: str) -> Path | None:
        """The path below the workspace, or None when any part of it is a link or leads out."""
        current = self.plan.workspace
        for part in Path(path).parts:
            current = current / part
            if part == ".." or current.is_symlink():
                return None
        return current

    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{_socket(self.plan.folder)}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _start(self, service: str) -> None:
        try:
            self._rpc().startProcess(service, False)
        except xmlrpc.client.Fault as exc:
            # One that ends at once may have ended before this call is answered. It is tried again as any other.
            if exc.faultCode != Faults.SPAWN_ERROR:
                raise NotReady(self.name, f"{service} does not start: {exc.faultString}.") from exc

    def _await_ready(self, spec: ServiceSpec, seconds: float) -> None:
        if not spec.ready:
            return
        url = self.endpoint(spec.name) + spec.ready

        def ready() -> bool:
            if answers(url):
                return True
            self._fail_early(spec.name)
            return False

        try:
            until(ready, max(1.0, seconds))
        except DeadlinePassed as exc:
            raise self._not_ready(spec.name, f"is not ready after {seconds:.0f} s") from exc

    def _fail_early(self, service: str) -> None:
        if self._rpc().getProcessInfo(service)["statename"] == "FATAL":
            raise self._not_ready(service, "ends again and again")

    def _not_ready(self, service: str, what: str) -> NotReady:
        return not_ready(self.name, service, what, self.logs(service, LOG_LINES))

    def _environment(self) -> dict[str, str]:
        home = self.plan.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            **QUIET,
            **self.variables(),
            MARK: str(self.plan.folder),
        }


def by_hand(plan: StackPlan) -> list[tuple[list[str], Path, dict[str, str], str]]:
    """What `up` would start and wait for, as (command, folder, environment, URL to wait for), to start otherwise."""
    plan = plan.model_copy(update={"ports": _ports(plan)})
    stack = ProcessStack(plan)
    found = []
    for spec in plan.services:
        if spec.ready and not spec.after:
            program = _program(plan, spec)
            environment = {**stack._environment(), **program.environment}
            url = stack.endpoint(spec.name) + spec.ready
            found.append((list(program.command), Path(program.directory), environment, url))
    return found


def _supervisord(plan: StackPlan, services: Iterable[ServiceSpec], environment: dict[str, str]) -> None:
    logs = plan.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    place = _socket(plan.folder).parent
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = plan.folder / "supervisord.conf"
    config.write_text(_configuration(plan, services, logs), encoding="utf-8")
    command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(config)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise EnvironmentFault(f"The supervisor does not start: {(done.stderr or done.stdout).strip()[-300:]}")
    try:
        until(_socket(plan.folder).exists, 10.0, 0.05)
    except DeadlinePassed as exc:
        raise EnvironmentFault("The supervisor gives no socket after 10 s.", f"Look at {logs}.") from exc


def _configuration(plan: StackPlan, services: Iterable[ServiceSpec], logs: Path) -> str:
    return configuration(
        [_program(plan, spec) for spec in services],
        socket=str(_socket(plan.folder)),
        logs=str(logs),
        pidfile=f"{plan.folder}/supervisord.pid",
        foreground=False,
        autostart=False,
    )


def _program(plan: StackPlan, spec: ServiceSpec) -> Program:
    port = plan.ports.get(spec.name, 0)
    words = [_places(plan).fill(word, port) for word in spec.command]
    return Program(
        name=spec.name,
        command=_in_workspace(words, plan.workspace),
        directory=str(plan.workspace if spec.owner == "candidate" else plan.folder),
        environment={"PORT": str(port), **spec.env},
    )


def _places(plan: StackPlan) -> Places:
    return Places(
        urls={name: f"http://127.0.0.1:{number}" for name, number in plan.ports.items()},
        scenario=str(plan.scenario),
        registry=str(plan.registry),
        private=str(plan.private),
        clock=str(plan.clock),
        host="127.0.0.1",
    )


def _in_workspace(command: Sequence[str], workspace: Path) -> list[str]:
    head, *rest = command
    if head == "python":
        return [sys.executable, *rest]
    if "/" in head:
        return [str(workspace / head), *rest]
    return [str(Path(sys.executable).parent / head), *rest]


def _ports(plan: StackPlan) -> dict[str, int]:
    ports = dict(plan.ports)
    for service, port in ports.items():
        if not ports_here.free(port):
            raise EnvironmentFault(
                f"Port {port} for {service} is taken.", "End what listens there, or start without --port."
            )
    unset = [spec.name for spec in plan.services if spec.ready and spec.name not in ports]
    return ports | {name: ports_here.draw(but=ports.values()) for name in unset}


def _socket(folder: Path) -> Path:
    """A short path: sockets' paths may have a hundred characters at most."""
    short = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"exam-{short}" / "supervisor.sock"


def _marked(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(folder) and process.pid != os.getpid():
                yield process


def _end(processes: list[psutil.Process]) -> None:
    """Ask supervisors first, so that they end their own; then kill what is left."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=STOP_SECONDS)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=STOP_SECONDS)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(file: Any, size: int) -> str:
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - size))
    text: str = file.read().decode("utf-8", "replace")
    return text


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    with contextlib.suppress(FileNotFoundError):
        partial.chmod(path.stat().st_mode & 0o777)  # what can be started still can
    partial.replace(path)
