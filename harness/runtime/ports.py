"""Ports of this machine for stacks.

They are drawn below what Linux gives to connections that go out (32768 and above), one of which could take a port
between the choice and its use; and no process draws one twice, so that stacks that come up at once do not meet.
"""

from __future__ import annotations

import errno
import random
import socket
import threading
from collections.abc import Collection

from harness.errors import EnvironmentFault

CHOSEN_FROM = range(20000, 30000)

_lock = threading.Lock()
_left: list[int] = []


def draw(address: str = "127.0.0.1", but: Collection[int] = ()) -> int:
    """A port on which nothing listens at an address, none of `but`, and not drawn before while others are left.

    Ports of another machine are not seen. Raises EnvironmentFault where none is free.
    """
    with _lock:
        for _ in CHOSEN_FROM:
            if not _left:
                _left.extend(random.SystemRandom().sample(CHOSEN_FROM, len(CHOSEN_FROM)))
            number = _left.pop()
            if number not in but and free(number, address):
                return number
    raise EnvironmentFault(f"No port between {CHOSEN_FROM[0]} and {CHOSEN_FROM[-1]} is free.")


def free(number: int, address: str = "127.0.0.1") -> bool:
    """Whether nothing listens on a port at an address, and this user may; an address of another machine is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as exc:
            return exc.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True
