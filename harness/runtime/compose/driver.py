"""The load driver of a grading: a container of its own in the networks of both stacks. It knows nothing secret.

While load is sent to one of the stacks alone, the other stands still: it could take the machine from it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import TracebackType

from docker.errors import NotFound
from docker.models.containers import Container

from harness.errors import EnvironmentFault, StackError
from harness.model import SendLoad
from harness.runtime.compose.engine import (
    ATTEMPT,
    HOME,
    SERVICE_LABEL,
    STACK,
    STARTER,
    Failures,
    client,
    containers,
    marked,
    starter,
    tag,
)
from harness.runtime.compose.execs import ask
from harness.runtime.compose.stack import ComposeStack
from harness.runtime.inside import places

DRIVE = (
    f'd=$(mktemp -d) && cat >"$d/plan.json" && {" ".join(places.PYTHON)} harness.probes.load_driver "$d" >&2'
    ' && cat "$d/driver.json" && echo && cat "$d/sent.jsonl" && rm -r "$d"'
)
GRACE_SECONDS = 30.0
MAX_SENT = 64 * 2**20
"""A request sent is some hundred bytes; what the candidate's service answered makes no line longer than a sentence."""

MEMORY = "1g"
TRIES = 3
AT_WORK = ("box", "registry", "traffic")
"""Containers of a stack in which something works at the candidate's call, also once its box stands still."""


class DriverContainer(AbstractContextManager[SendLoad | None]):
    """Up as long as the block lasts; what it gives sends a plan and returns (requests sent, how the driver fared).

    Without two stacks there is nothing to drive, and the block gets None.
    """

    def __init__(self, stacks: Sequence[ComposeStack], home: str) -> None:
        self._home = home
        self._stacks = stacks
        self._container: Container | None = None

    def __enter__(self) -> SendLoad | None:
        if len(self._stacks) < 2:
            return None
        try:
            self._start()
        except Failures as exc:
            self._end()
            raise EnvironmentFault(f"The load driver's container does not start: {str(exc)[:200]}") from exc
        return self._send

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _start(self) -> None:
        self._container = client().containers.create(
            f"exam-driver:{tag()}",
            name=f"exam-driver-{uuid.uuid4().hex[:8]}",
            labels=self._labels(),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges=true"],
            read_only=True,
            tmpfs={"/tmp": "size=256m,mode=1777"},
            mem_limit=MEMORY,
            memswap_limit=MEMORY,
            nano_cpus=2 * 10**9,
            pids_limit=128,
            init=True,
            network_mode="none",
            log_config={"Type": "json-file", "Config": {"max-size": "1m"}},
        )
        client().networks.get("none").disconnect(self._container)
        for stack in self._stacks:
            for network in client().networks.list(filters={"label": f"{STACK}={stack.label}"}):
                if network.name.endswith("_inside"):
                    network.connect(self._container)
        self._container.start()

    def _labels(self) -> dict[str, str]:
        """It goes with the first stack."""
        first = self._stacks[0]
        told = {ATTEMPT: first.plan.attempt or first.plan.name, STACK: first.label}
        return {**told, HOME: marked(self._home, self._home), STARTER: starter()}

    def _end(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            with suppress(NotFound, *Failures):
                container.remove(force=True)

    def _send(self, plan: bytes, seconds: float) -> tuple[bytes, bytes]:
        """Send a plan, given as JSON with addresses of this machine; raises EnvironmentFault when the driver died."""
        told = self._inside(plan)
        with ExitStack() as stood:
            for stack in self._without_load(plan):
                stood.enter_context(standing_still(stack))
            return self._drive(told, seconds)

    def _drive(self, plan: bytes, seconds: float) -> tuple[bytes, bytes]:
        assert self._container is not None
        command = ["docker", "exec", "-i", str(self._container.name), "sh", "-c", DRIVE]
        said = ask(command, seconds + GRACE_SECONDS, MAX_SENT, plan)
        if said.late:
            raise EnvironmentFault("The load driver did not end in time.", "Run it again.")
        if said.flooded:
            raise EnvironmentFault(f"The load driver said more than {MAX_SENT >> 20} MiB.", "Run it again.")
        if said.code != 0:
            raise EnvironmentFault(f"The load driver died with exit code {said.code}: {said.sentence(600)}")
        driver, _, sent = said.out.partition(b"\n")
        return sent, driver

    def _without_load(self, plan: bytes) -> list[ComposeStack]:
        urls = json.loads(plan)["urls"].values()
        return [each for each in self._stacks if not any(_address(url, each) for url in urls)]

    def _inside(self, plan: bytes) -> bytes:
        """The same plan with the addresses that services have in their own networks, by their containers' names."""
        told = json.loads(plan)
        told["urls"] = {name: self._inner(url) for name, url in told["urls"].items()}
        return json.dumps(told).encode()

    def _inner(self, url: str) -> str:
        for stack in self._stacks:
            if address := _address(url, stack):
                return address
        raise EnvironmentFault(f"{url} is no address of a stack that is graded.")


def _address(url: str, stack: ComposeStack) -> str | None:
    """The address of this machine that a stack's service has, as one in the stack's own network; None: of another."""
    for service, inner in stack.urls().items():
        here = stack.endpoint(service)
        if url.startswith(f"{here}/"):
            home, port = inner.removeprefix("http://").split(":")
            return f"http://{stack.container(home).name}:{port}{url.removeprefix(here)}"
    return None


@contextmanager
def standing_still(stack: ComposeStack) -> Iterator[None]:
    """As long as the block lasts a stack takes nothing of the machine: not its box, nor what works at the box's call.

    What is down stands still by itself; raises StackError when it comes up meanwhile, for that takes the machine.
    Raises EnvironmentFault when the engine refuses.
    """
    try:
        with ExitStack() as stood:
            for container in containers({STACK: stack.label}):
                if container.labels.get(SERVICE_LABEL) in AT_WORK:
                    stood.enter_context(_paused(stack, container))
            yield
    except Failures as exc:
        raise EnvironmentFault(f"{stack.name} does not stand still, or not go on: {str(exc)[-200:]}") from exc


@contextmanager
def _paused(stack: ComposeStack, container: Container) -> Iterator[None]:
    began = _begun(container)
    try:
        paused = _pause(container)
        yield
    finally:
        _go_on(container)
    if not paused and _begun(container) != began:
        raise StackError(stack.name, "What had ended came up while the other stack was measured alone.")


def _begun(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["StartedAt"])


def _pause(container: Container) -> bool:
    """Whether it is paused; if not, it is down: a candidate's crash, and no fault of the engine."""
    _insist(container, container.pause, "running")
    return bool(container.status == "paused")


def _go_on(container: Container) -> None:
    """A box that stayed paused would seem to answer nothing."""
    _insist(container, container.unpause, "paused")


def _insist(container: Container, call: Callable[[], object], state: str) -> None:
    """Bring a container out of a state. The engine gets some tries: freezing what is busy may fail once."""
    for left in reversed(range(TRIES)):
        container.reload()
        if container.status != state:
            return
        try:
            call()
        except Failures:
            if not left:
                raise
    container.reload()
