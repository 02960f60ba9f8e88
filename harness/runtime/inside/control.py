"""`python -m harness.runtime.inside.control status | restart NAME`: the container's supervisor, answered as JSON."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import xmlrpc.client
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from harness.runtime.inside import places

SECONDS = 20.0
"""A supervisor that says nothing for so long is not there: who stops a program waits STOP_SECONDS for it."""


def supervisor() -> Any:
    """The supervisor's interface. Calls raise OSError when it does not answer, xmlrpc.client.Fault when it refuses."""
    transport = SupervisorTransport(None, None, f"unix://{places.SOCKET}")
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor


def status() -> list[dict[str, Any]]:
    """Each program with its state, process and what the supervisor says of it."""
    kept = ("name", "statename", "pid", "description", "spawnerr")
    return [{key: entry[key] for key in kept} for entry in supervisor().getAllProcessInfo()]


def restart(name: str) -> list[dict[str, Any]]:
    """Stop a program if it runs, and start it without waiting, so one that ends at once is not refused."""
    with contextlib.suppress(xmlrpc.client.Fault):
        supervisor().stopProcess(name)
    try:
        supervisor().startProcess(name, False)
    except xmlrpc.client.Fault as exc:
        if exc.faultCode != Faults.SPAWN_ERROR:
            raise
    return status()


def main() -> int:
    """Print the answer; 1 and a sentence where the supervisor refuses or is not there."""
    words = sys.argv[1:]
    socket.setdefaulttimeout(SECONDS)
    try:
        answer = restart(words[1]) if words[0] == "restart" else status()
    except (OSError, xmlrpc.client.Error) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
