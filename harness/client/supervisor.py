"""A supervisord over its unix socket, with the standard library alone."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from contextlib import suppress
from typing import Any

SECONDS = 30.0
"""A supervisor that does not answer so long is not there."""

SPAWN_ERROR = 50
"""supervisord's fault code of a program that had ended before its start was answered."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """A connection of its own for each call."""
        return _Connection(self._path)


class Supervisor:
    """One supervisord. Every method raises OSError when it does not answer, and Refused when it will not."""

    def __init__(self, path: str) -> None:
        self._path = path

    def states(self) -> list[dict[str, Any]]:
        """Each program as {"name", "state" (supervisord's word), "detail", "log"}."""
        return [
            {
                "name": entry["name"],
                "state": entry["statename"],
                "detail": entry["spawnerr"] or entry["description"],
                "log": entry["stdout_logfile"],
            }
            for entry in self._call("getAllProcessInfo")
        ]

    def restart(self, name: str) -> None:
        """Stop a program, if it runs, and start it; not waited for, so one that ends at once is not refused."""
        with suppress(Refused):
            self._call("stopProcess", name)
        try:
            self._call("startProcess", name, False)
        except Refused as exc:
            if exc.code != SPAWN_ERROR:
                raise

    def _call(self, method: str, *words: Any) -> Any:
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(self._path))
        try:
            return getattr(proxy.supervisor, method)(*words)
        except xmlrpc.client.Fault as exc:
            raise Refused(exc.faultString, exc.faultCode) from exc
        except (xmlrpc.client.Error, http.client.HTTPException) as exc:
            raise OSError(str(exc)) from exc


class Refused(Exception):
    """The supervisor answered that it will not, with its fault code."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code
