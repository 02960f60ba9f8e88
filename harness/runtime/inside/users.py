"""Whose processes run in a container: how root becomes the candidate, and how all processes of a user are ended."""

from __future__ import annotations

import contextlib
import os
import signal

from harness.runtime.inside import places

CANDIDATE = places.UIDS["workspace"]
UNUSED = 65533
"""A user that no container has, and that an engine with user namespaces knows (it maps 65536)."""


def become(user: int) -> None:
    """Go on as another user for good, where this process is root's; any other process stays what it is."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def end_all(user: int) -> None:
    """Kill every process of a user in this container at once, but this one, which must be the container's first.

    `kill(-1)` is one step of the kernel: what forks meanwhile does not escape it, as it would escape a list of
    processes. It reaches every process that the caller may kill, so root becomes the user for that step. Its real id
    must not stay root's, for that alone lets it kill root's processes; nor be the user's, who could stop it then. Only
    the saved id stays root's: the way back. Raises PermissionError outside a container, where more would be ended than
    somebody's stack.
    """
    if os.getpid() != 1:
        raise PermissionError("only the first process of a container ends all others")
    root = os.geteuid() == 0
    if root:
        os.setresuid(UNUSED, user, 0)
    try:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    finally:
        if root:
            os.setresuid(0, 0, 0)
