"""A restart is not waited for: what had ended before its start was answered is looked into afterwards."""

from __future__ import annotations

import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest
from supervisor.xmlrpc import Faults

from harness.client.supervisor import Refused, Supervisor
from harness.runtime.inside import control, places


class Handler(SimpleXMLRPCRequestHandler):
    disable_nagle_algorithm = False  # a unix socket knows none

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class Fake(ThreadingUnixStreamServer, SimpleXMLRPCDispatcher):
    """A supervisor that stops nothing and answers each start with a fault."""

    daemon_threads = True

    def __init__(self, path: Path, fault: int) -> None:
        ThreadingUnixStreamServer.__init__(self, str(path), Handler)
        SimpleXMLRPCDispatcher.__init__(self)
        self.started: list[str] = []
        self._fault = fault
        self.register_function(self.stop, "supervisor.stopProcess")
        self.register_function(self.start, "supervisor.startProcess")
        self.register_function(lambda: [], "supervisor.getAllProcessInfo")

    def stop(self, name: str) -> None:
        raise xmlrpc.client.Fault(Faults.NOT_RUNNING, f"NOT_RUNNING: {name}")

    def start(self, name: str, wait: bool) -> None:
        assert not wait
        self.started.append(name)
        raise xmlrpc.client.Fault(self._fault, f"fault: {name}")


@pytest.fixture
def fake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fake]:
    server = Fake(tmp_path / "sock", request.param)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


Restart = Callable[[str], object]


@pytest.fixture(params=["client", "container"])
def restart(request: pytest.FixtureRequest, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Restart:
    path = str(fake.server_address)
    if request.param == "client":
        return Supervisor(path).restart
    monkeypatch.setattr(places, "SOCKET", path)
    return control.restart


@pytest.mark.parametrize("fake", [Faults.SPAWN_ERROR], indirect=True)
def test_one_that_ends_at_once_is_started_and_not_refused(fake: Fake, restart: Restart) -> None:
    restart("serving")
    assert fake.started == ["serving"]


@pytest.mark.parametrize("fake", [Faults.BAD_NAME], indirect=True)
def test_any_other_fault_of_a_start_is_told(fake: Fake, restart: Restart) -> None:
    with pytest.raises((Refused, xmlrpc.client.Fault), match="serving"):
        restart("serving")
