"""What runs in which container of a stack, told to the containers as one file without a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.errors import ScenarioError
from harness.model import JobSpec, ServiceSpec
from harness.runtime.inside import places
from harness.runtime.programs import Places

ALLOWED_HOSTS = "registry:*,registry,localhost:*,127.0.0.1:*"
"""MLflow answers 403 to a Host that it does not know: the name in the network, and the published address."""


def container_of(spec: ServiceSpec) -> str:
    """The candidate's services run in the box, the registry alone, what else surrounds them together."""
    if spec.owner == "candidate":
        return "box"
    return "registry" if spec.name == "registry" else "traffic"


def ports(services: Iterable[ServiceSpec]) -> dict[str, int]:
    """Service -> its port, of those that can say that they are ready.

    Raises ScenarioError when a container has more of them than ports are published.
    """
    left = {name: iter(numbers) for name, numbers in places.PORTS.items()}
    found = {}
    for spec in services:
        if spec.ready:
            number = next(left[container_of(spec)], None)
            if number is None:
                raise ScenarioError(f"{spec.name}: containers of a stack publish no further port for it.")
            found[spec.name] = number
    return found


def urls(services: Sequence[ServiceSpec]) -> dict[str, str]:
    """Service -> its base address in the stack's own network."""
    homes = {spec.name: container_of(spec) for spec in services}
    return {name: f"http://{homes[name]}:{port}" for name, port in ports(services).items()}


def described(
    services: Sequence[ServiceSpec],
    jobs: Sequence[JobSpec],
    environment: Mapping[str, str],
    scenario: str,
    address: str = "127.0.0.1",
) -> dict[str, Any]:
    """The description of a stack: programs by container, jobs, and the variables that the scenario tells all of them.

    `scenario` is the scenario's id; `address` where the door publishes, which the registry must know.
    """
    filled = Places(
        urls=urls(services),
        scenario=f"{places.SCENARIOS}/{scenario}",
        registry=places.REGISTRY,
        private=places.DATA,
        clock=places.CLOCK,
        host="0.0.0.0",
    )
    return {
        "containers": {name: _container(name, services, filled, address) for name in places.PORTS},
        "jobs": {job.name: _command([filled.fill(word) for word in job.command]) for job in jobs},
        "environment": {name: filled.fill(value) for name, value in environment.items()},
    }


def _container(name: str, services: Sequence[ServiceSpec], filled: Places, address: str) -> dict[str, Any]:
    mine = [spec for spec in services if container_of(spec) == name]
    ready = [f"{filled.urls[spec.name]}{spec.ready}" for spec in mine if spec.ready and not spec.after]
    return {"programs": list(_programs(mine, services, filled, address)), "ready": ready[0] if ready else ""}


def _programs(
    mine: Sequence[ServiceSpec], services: Sequence[ServiceSpec], filled: Places, address: str
) -> Iterator[dict[str, Any]]:
    known = ports(services)
    paths = {spec.name: spec.ready for spec in services}
    for spec in mine:
        port = known.get(spec.name, 0)
        own = {"PORT": str(port), "HOST": filled.host, **spec.env}
        if container_of(spec) == "registry":
            own["MLFLOW_SERVER_ALLOWED_HOSTS"] = f"{ALLOWED_HOSTS},{address}:*"
        yield {
            "name": spec.name,
            "command": _command([filled.fill(word, port) for word in spec.command]),
            "directory": places.WORKSPACE if spec.owner == "candidate" else "/tmp",
            "environment": own,
            "after": f"{filled.urls[spec.after]}{paths[spec.after]}" if spec.after else "",
        }


def _command(words: Sequence[str]) -> list[str]:
    """A command whose first word is a path of the workspace gets that path."""
    head, *rest = words
    return [f"{places.WORKSPACE}/{head}" if "/" in head and not head.startswith("/") else head, *rest]
