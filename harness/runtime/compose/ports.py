"""Which ports of this machine a stack's door publishes.

They are fixed numbers, so that a stack that comes back with its engine is found where it was: a port that the engine
chooses is another one after each start of the door.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.runtime import ports
from harness.runtime.compose.engine import address_of

VARIABLES: Mapping[int, str] = {
    3000: "PORT_SERVING",
    3001: "PORT_3001",
    5000: "PORT_REGISTRY",
    7001: "PORT_7001",
    7002: "PORT_7002",
    8088: "PORT_PROCTOR",
    8888: "PORT_JUPYTER",
}
"""Port in the stack's network -> the variable of compose.yaml that says where it is published."""


def choose(asked: Mapping[int, int]) -> dict[int, int]:
    """Port in the network -> port of this machine, for all that the door publishes: as asked for, else a free one.

    Raises EnvironmentFault where none is free.
    """
    unset = {inner: ports.draw(address_of(inner), asked.values()) for inner in VARIABLES if inner not in asked}
    return {**unset, **asked}


def refused(said: str) -> bool:
    """Whether the engine did not start a container because a port is taken, by what it said."""
    return any(words in said for words in ("port is already allocated", "address already in use", "failed to bind"))
