"""`python -m harness.runtime.inside.room`: the rehearsal room. It idles until a proctor sends it a state to boot.

POST /boot with a tar archive of `stack.json` (what runs: see `Stay`), `workspace/` and `registry/` answers, once all is
ready or will not be, {"boots", "seconds", "sentence"}. POST /end, or STAY_SECONDS after a boot, ends this process and
with it the container: nothing of a rehearsal is there in the next. One boot for each life. GET /health says whether
the room is free, where its folders lie, and on which host its services are to listen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from harness.client.ask import steady
from harness.client.supervisor import Refused, Supervisor
from harness.runtime.inside import places
from harness.runtime.inside.supervised import environment, programs, supervisord
from harness.runtime.programs import STOP_SECONDS, configuration

PORT = 8089
STAY_SECONDS = 900.0
"""A boot has 240 s and the public checks some ten; a proctor that is gone by then does not come back."""

MAX_BYTES = 600 * 2**20
"""What a submission may hold, and the tar archive around it."""

RECEIVE_SECONDS = 120.0
LOG_CHARACTERS = 2000
POLL_S = 0.3

STARTED: list[subprocess.Popen[bytes]] = []
"""The supervisor of the one boot that a life has."""


@dataclass(frozen=True)
class Rooms:
    """The folders that a rehearsal is laid out in."""

    workspace: Path
    registry: Path
    run: Path

    def place(self, name: str) -> Path:
        """Where a member of the archive belongs. Raises ValueError for a name that leads elsewhere."""
        top, _, inner = name.partition("/")
        root = {"workspace": self.workspace, "registry": self.registry}.get(top)
        if root is None or not inner or ".." in inner.split("/"):
            raise ValueError(f"{name[:80]!r} belongs nowhere")
        return root / inner


class Stay:
    """One rehearsal. `described` has the environment, programs as a container's, addresses by name, and seconds."""

    def __init__(self, rooms: Rooms, described: Mapping[str, Any]) -> None:
        self._rooms = rooms
        self._described = described
        self._socket = str(rooms.run / "room.sock")
        self._logs = rooms.run / "rehearsal"

    def boot(self) -> dict[str, Any]:
        """Start everything and wait until each address answers, or one of the programs ends for good."""
        began = time.monotonic()
        self._supervise()
        end = began + float(self._described["seconds"])
        waited_for = dict(self._described["ready"])
        while waited_for:
            waited_for = {name: url for name, url in waited_for.items() if not steady(url)}
            ended = [name for name in self._ended() if name in waited_for]
            if ended:
                return self._failed(began, ended[0], "ends again and again")
            if waited_for and time.monotonic() > end:
                return self._failed(began, next(iter(waited_for)), f"is not ready after {end - began:.0f} s")
            time.sleep(POLL_S)
        return {"boots": True, "seconds": round(time.monotonic() - began, 1), "sentence": ""}

    def _supervise(self) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        config = self._rooms.run / "room.conf"
        text = configuration(
            programs(self._described),
            socket=self._socket,
            logs=str(self._logs),
            pidfile=str(self._rooms.run / "room.pid"),
            foreground=True,
            autostart=True,
        )
        config.write_text(text, encoding="utf-8")
        variables = environment(self._described["environment"])
        STARTED.append(subprocess.Popen(supervisord(config), env=variables, stdout=subprocess.DEVNULL))

    def _ended(self) -> list[str]:
        try:
            return [entry["name"] for entry in Supervisor(self._socket).states() if entry["state"] == "FATAL"]
        except (OSError, Refused):
            return []

    def _failed(self, began: float, name: str, what: str) -> dict[str, Any]:
        log = self._logs / f"{name}.log"
        end = log.read_bytes()[-LOG_CHARACTERS:].decode("utf-8", "replace").strip() if log.is_file() else "(no log)"
        sentence = f"{name} {what}. The end of its log:\n{end}"
        return {"boots": False, "seconds": round(time.monotonic() - began, 1), "sentence": sentence}


def lay_out(archive: Path, rooms: Rooms) -> dict[str, Any]:
    """Unpack what came into the emptied rooms; returns what is to run."""
    for folder in (rooms.workspace, rooms.registry):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    rooms.run.mkdir(parents=True, exist_ok=True)
    described: dict[str, Any] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            if file is not None and member.name == "stack.json":
                described = json.load(file)
            elif file is not None:
                _write(file, rooms.place(member.name), 0o755 if member.mode & 0o100 else 0o644)
    return described


def _write(file: IO[bytes], target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as written:
        shutil.copyfileobj(file, written)
    target.chmod(mode)


class RoomHandler(BaseHTTPRequestHandler):
    """What the room answers. A connection that says nothing for a while is closed."""

    timeout = RECEIVE_SECONDS
    rooms: Rooms
    listen: str
    taken = threading.Lock()

    def do_GET(self) -> None:
        """Up."""
        places_here = {"workspace": str(self.rooms.workspace), "registry": str(self.rooms.registry)}
        self._answer(200, {"free": not self.taken.locked(), **places_here, "host": self.listen})

    def do_POST(self) -> None:
        """Boot or end."""
        if self.path == "/end":
            self._answer(200, {})
            self.wfile.flush()
            leave()
        elif self.path != "/boot" or not self.taken.acquire(blocking=False):
            self._answer(409, {"error": "The room is taken, or there is no such door."})
        else:
            threading.Timer(STAY_SECONDS, leave).start()
            self._answer(200, self._boot())

    def _boot(self) -> dict[str, Any]:
        left = int(self.headers.get("Content-Length", "0"))
        if not 0 < left <= MAX_BYTES:
            return {"boots": False, "seconds": 0, "sentence": f"The state has {left} bytes, too many or none."}
        try:
            with tempfile.NamedTemporaryFile() as file:
                while left > 0 and (chunk := self.rfile.read(min(2**20, left))):
                    file.write(chunk)
                    left -= len(chunk)
                file.flush()
                described = lay_out(Path(file.name), self.rooms)
            return Stay(self.rooms, described).boot()
        except (OSError, ValueError, tarfile.TarError) as exc:
            return {"boots": False, "seconds": 0, "sentence": f"The state could not be laid out: {exc}."}

    def _answer(self, status: int, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: the proctor's journal says what was rehearsed."""


def leave() -> None:
    """End the supervisor, which ends its programs, then this process; what is left then ends with the container."""
    for process in STARTED:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS + 2.0)
    os._exit(0)


def _close_log() -> None:
    """A submission runs as the same user, and could flood the engine's log by this process's own outputs."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)


def main() -> None:
    """Serve until a rehearsal is over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, default=Path(places.WORKSPACE))
    parser.add_argument("--registry", type=Path, default=Path(places.REGISTRY))
    parser.add_argument("--run", type=Path, default=Path(places.RUN))
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=PORT)
    told = parser.parse_args()
    if os.getpid() == 1:
        _close_log()
    RoomHandler.rooms = Rooms(told.workspace.absolute(), told.registry.absolute(), told.run.absolute())
    RoomHandler.listen = told.host
    RoomHandler.rooms.run.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer((told.host, told.port), RoomHandler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
