"""What runtimes share on this machine: commands in containers, whether a service answers, ports, the engine's age."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from docker.errors import APIError

from harness.errors import EnvironmentFault
from harness.runtime import ports as ports_here
from harness.runtime.compose import ports
from harness.runtime.compose.driver import TRIES, _paused
from harness.runtime.compose.engine import IMAGES, ROOT, marked, too_old
from harness.runtime.compose.execs import STDERR_BYTES, ask
from harness.runtime.inside import door, places, reserving
from harness.runtime.process import MARK, ProcessRuntime
from harness.runtime.services import LOOK_SECONDS, answers
from harness.waiting import until

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]

RESERVES = """
import ctypes, errno, fcntl, os, struct
from harness.runtime.inside import reserving
reserving.forbid()
file = open("file", "wb")
libc = ctypes.CDLL(None, use_errno=True)
if libc.fallocate(file.fileno(), 0, ctypes.c_long(0), ctypes.c_long(100_000)) == -1:
    print("refused" if ctypes.get_errno() == errno.EOPNOTSUPP else ctypes.get_errno())
for request in reserving.RESERVING:
    try:
        fcntl.ioctl(file, request, struct.pack("hhqqii4i", 0, 0, 0, 100_000, *[0] * 6))
    except OSError as exc:
        print("refused" if exc.errno == errno.EOPNOTSUPP else exc)
os.posix_fallocate(file.fileno(), 0, 100_000)
print(os.fstat(file.fileno()).st_size)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_command_is_told_and_says_how_it_ended() -> None:
    said = ask(
        python("import sys; sys.stderr.write('why'); print(sys.stdin.read()); sys.exit(3)"), 20.0, 2**20, b"told"
    )
    assert (said.code, said.out, said.err, said.late, said.flooded) == (3, b"told\n", b"why", False, False)
    assert said.sentence(100) == "why"


def test_a_command_that_never_ends_is_cut_off_at_its_deadline() -> None:
    began = time.monotonic()
    said = ask(["sh", "-c", "echo begun; exec sleep 100"], 2.0, 2**20)
    assert (said.code, said.late, said.out) == (None, True, b"begun\n")
    assert time.monotonic() - began < 10


def test_a_command_that_hides_its_end_is_cut_off_too() -> None:
    said = ask(python("import os, time; os.close(1); os.close(2); time.sleep(100)"), 1.0, 2**20)
    assert said.late


def test_of_a_flood_no_more_is_read_than_was_asked_for() -> None:
    said = ask(["yes"], 60.0, 100_000)
    assert (said.code, said.flooded, len(said.out)) == (None, True, 100_000)


def test_of_a_flood_of_errors_the_end_is_kept() -> None:
    said = ask(["sh", "-c", "yes line | head -c 5000000 >&2; echo last >&2; exit 1"], 60.0, 100)
    assert said.code == 1
    assert said.err.endswith(b"last\n")
    assert len(said.err) <= STDERR_BYTES


@contextmanager
def served(handle: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), handle)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/ready": 200, "/": 200, "/moved": 302}.get(self.path, 503))
        self.send_header("Location", "/ready")
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_200_is_an_answer_and_nothing_else_is_whatever_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with served(Page) as url:
        assert answers(url)
        assert answers(f"{url}/ready")
        assert not answers(f"{url}/other")
        assert not answers(f"{url}/moved")
    assert not answers(f"{url}/ready")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.0 200 OK\r\n\r\n"])
def test_a_service_that_sends_a_byte_at_a_time_does_not_answer(head: bytes) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(head or b"HTTP/1.0 200 OK\r\nX: ")
                try:
                    for _ in range(200):
                        connection.sendall(b"x")
                        time.sleep(0.1)
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        assert not answers(f"http://127.0.0.1:{listening.getsockname()[1]}/ready")
        assert time.monotonic() - began < LOOK_SECONDS + 3


@pytest.mark.parametrize("version", ["25.0.5", "26.1.5+dfsg1", "27.0", "v28.1.0-rc.1"])
def test_an_engine_that_keeps_names_inside_will_do(version: str) -> None:
    assert too_old(version) is None


@pytest.mark.parametrize("version", ["25.0.4", "25.0", "24.0.9", "4.9.3", "", "unknown"])
def test_an_engine_that_asks_the_world_for_names_is_too_old(version: str) -> None:
    assert "25.0.5" in str(too_old(version))


def test_every_published_port_gets_a_number_of_its_own_that_is_free_and_what_was_asked_for_is_kept() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        assert not ports_here.free(number)
    chosen = ports.choose({3000: number})
    assert set(chosen) == set(door.BEHIND)
    assert chosen[3000] == number
    assert len(set(chosen.values())) == len(chosen)
    assert all(each in ports_here.CHOSEN_FROM for inner, each in chosen.items() if inner != 3000)


def test_stacks_that_come_up_at_once_are_given_different_ports() -> None:
    """Neither listens yet when the other chooses."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        drawn = list(pool.map(lambda _: ports_here.draw(), range(400)))
    assert len(set(drawn)) == len(drawn)


def test_no_port_is_drawn_that_was_asked_for_or_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        monkeypatch.setattr(ports_here, "CHOSEN_FROM", [number, number + 1])
        monkeypatch.setattr(ports_here, "_left", [])
        with pytest.raises(EnvironmentFault, match="is free"):
            ports_here.draw(but=[number + 1])


def test_compose_publishes_what_the_door_passes_on_each_at_the_number_that_is_told() -> None:
    address = "${EXAM_ADDRESS:-127.0.0.1}"
    lines = [each.replace(f"${{EXAM_JUPYTER_ADDRESS:-{address}}}", address) for each in COMPOSE["door"]["ports"]]
    published = [re.fullmatch(rf"{re.escape(address)}:\$\{{(\w+):-\}}:(\d+)", each) for each in lines]
    assert {int(each[2]): each[1] for each in published if each} == ports.VARIABLES
    assert len(published) == len(door.BEHIND) == len(ports.VARIABLES)


def test_only_what_asks_for_a_token_is_published_where_candidates_may_come_from() -> None:
    elsewhere = [each for each in COMPOSE["door"]["ports"] if "EXAM_JUPYTER_ADDRESS" in each]
    assert [each.rsplit(":", 1)[1] for each in elsewhere] == [str(places.JUPYTER_PORT)]


def test_two_homes_that_are_called_the_same_are_told_apart_and_one_stays_itself(tmp_path: Path) -> None:
    """As on two machines that use one engine."""
    name = str(tmp_path / "home")
    first = marked(name, "/stack")
    assert marked(name, "/stack") == first
    Path(name).rename(tmp_path / "away")
    assert marked(name, "/stack") != first
    assert marked(str(tmp_path / "away"), "/stack") == first
    assert first.endswith(":/stack")


def test_what_reserves_disk_is_refused_and_writing_is_not(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", RESERVES], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused"] * (1 + len(reserving.RESERVING)) + ["100000"]


def test_every_image_is_built() -> None:
    """Each by the container of one role; the others with that image find it there."""
    built = {each["image"].split(":")[0]: each["build"]["target"] for each in COMPOSE.values() if "build" in each}
    assert built == {f"exam-{role}": role for role in IMAGES}


def test_no_python_of_ours_in_a_container_looks_into_the_folder_where_it_starts() -> None:
    """`python -m` would put that folder first: in the box the candidate's modules would run as root."""
    words = [each[key] for each in COMPOSE.values() for key in ("command",) if key in each]
    words += [each["healthcheck"]["test"][1:] for each in COMPOSE.values() if "healthcheck" in each]
    words += [
        re.findall(r'"([^"]*)"', line)
        for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines()
        if "CMD" in line
    ]
    ours = [each for each in words if each[0] == "python"]
    assert len(ours) > 8
    assert all(tuple(each[:3]) == places.PYTHON for each in ours), ours
    assert COMPOSE["box"]["working_dir"] == COMPOSE["rehearsal"]["working_dir"] == "/"


ANEW = """\
trap 'sleep 1000 & exit 0' TERM
touch "$1"
while :; do sleep 0.05; done
"""


def test_what_is_started_anew_while_a_stack_ends_is_ended_too(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    environment = {**os.environ, MARK: str(tmp_path)}
    supervisor = subprocess.Popen(["/bin/sh", "-c", ANEW, "sh", str(ready)], env=environment)
    until(ready.exists, 30.0)
    ProcessRuntime().down(tmp_path)
    left = [each for each in psutil.process_iter() if tells(each, str(tmp_path))]
    assert left == []
    assert supervisor.wait(10) == 0


def tells(process: psutil.Process, folder: str) -> bool:
    """Whether a process says that it is of the stack in a folder."""
    with suppress(psutil.Error, OSError):
        return process.environ().get(MARK) == folder
    return False


class Busy:
    """A container that cannot be frozen, or thawed, the first times: as where it is forking just then."""

    def __init__(self, freezing: int = 0, thawing: int = 0) -> None:
        self.status, self.attrs = "running", {"State": {"StartedAt": "then"}}
        self._left = {"running": freezing, "paused": thawing}

    def reload(self) -> None:
        pass

    def pause(self) -> None:
        self._become("paused")

    def unpause(self) -> None:
        self._become("running")

    def _become(self, state: str) -> None:
        if self._left[self.status]:
            self._left[self.status] -= 1
            raise APIError("unable to freeze")
        self.status = state


def test_a_container_that_is_hard_to_freeze_is_frozen_and_goes_on() -> None:
    busy: Any = Busy(freezing=TRIES - 1, thawing=TRIES - 1)
    stack: Any = None
    with _paused(stack, busy):
        assert busy.status == "paused"
    assert busy.status == "running"


def test_a_container_that_cannot_be_frozen_is_said_and_goes_on() -> None:
    busy: Any = Busy(freezing=TRIES)
    stack: Any = None
    with pytest.raises(APIError, match="freeze"), _paused(stack, busy):
        pytest.fail("nothing is measured beside it")
    assert busy.status == "running"
