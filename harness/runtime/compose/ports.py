"""Which ports of this machine a stack's door publishes.

They are fixed numbers, so that a stack that comes back with its engine is found where it was: a port that the engine
chooses is another one after each start of the door.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Mapping

from harness.errors import EnvironmentFault
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

CHOSEN_FROM = range(20000, 30000)
"""Below what Linux gives to connections that go out (32768 and above): one of those could stand on a port while the
door is down."""


def choose(asked: Mapping[int, int]) -> dict[int, int]:
    """Port in the network -> port of this machine, for all that the door publishes: as asked for, else a free one."""
    numbers = iter(random.SystemRandom().sample(CHOSEN_FROM, len(CHOSEN_FROM)))
    left = (number for number in numbers if number not in asked.values())
    try:
        return {
            inner: asked[inner] if inner in asked else next(number for number in left if _free(number, inner))
            for inner in VARIABLES
        }
    except StopIteration:
        raise EnvironmentFault(f"No port between {CHOSEN_FROM[0]} and {CHOSEN_FROM[-1]} is free.") from None


def refused(said: str) -> bool:
    """Whether the engine did not start a container because a port is taken, by what it said."""
    return any(words in said for words in ("port is already allocated", "address already in use", "failed to bind"))


def _free(number: int, inner: int) -> bool:
    """Whether nothing listens on a port here, where the stack's `inner` is published.

    The ports of a remote engine are not seen: it says so when it starts.
    """
    with socket.socket() as probe:
        try:
            probe.bind((address_of(inner), number))
        except OSError as exc:
            return exc.errno != errno.EADDRINUSE
    return True
