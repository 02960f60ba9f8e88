"""An attempt at the tiny scenario that is led by a proctor of its own process, for tests."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from harness import scenario as scenarios
from harness import variant as variants
from harness.layout import Layouts, site_in
from harness.proctor.sealed import Sealed, seal
from harness.runtime import ports
from harness.runtime.base import RunningStack, StackPlan
from harness.runtime.process import ProcessRuntime
from harness.waiting import until
from harness.workspace import copy_site

SEED = 918273645
ROUNDED = 0.11
"""Minutes: they are told to a tenth."""


@dataclass
class Led:
    """The parts of one attempt; `proctor` is the process that leads it."""

    root: Path
    home: Path
    stack: RunningStack
    port: int = field(default_factory=ports.draw)
    room_port: int = field(default_factory=ports.draw)
    proctor: subprocess.Popen[str] | None = None
    rooms: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def minutes_since_start(self) -> float:
        """By the clock of the test, since the proctor says that the attempt began."""
        began = datetime.fromisoformat(self.get("/status").json()["started_at"])
        return (datetime.now(UTC) - began).total_seconds() / 60

    @property
    def workspace(self) -> Path:
        return self.home / "workspace"

    @property
    def state(self) -> Path:
        return self.home / "state"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=60)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", json=dict(body or {}), timeout=200)

    def up(self, *, room: bool = False) -> None:
        """Start the proctor and wait until the attempt has begun."""
        self.start(room=room)
        until(lambda: self.health().get("ready"), 60.0, 0.1)

    def start(self, *, room: bool = False) -> None:
        """Start the proctor."""
        words = [sys.executable, "-m", "harness.proctor", "--host", "127.0.0.1", "--port", str(self.port)]
        words += ["--scenarios", str(self.root), "--clock", str(self.home / "clock"), "--state", str(self.state)]
        for name in ("sealed", "workspace", "registry"):
            words += [f"--{name}", str(self.home / name)]
        if room:
            place = f"http://127.0.0.2:{self.room_port}"  # services there have the ports of the live ones
            words += ["--room", place]
        self.proctor = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    def health(self) -> dict[str, Any]:
        """What /health says; empty until the proctor listens."""
        assert self.proctor is not None
        assert self.proctor.poll() is None, self.proctor.communicate()[1]
        try:
            found: dict[str, Any] = self.get("/health").json()
        except httpx.HTTPError:
            return {}
        return found

    def kill(self) -> None:
        """End the proctor as a crash would."""
        assert self.proctor is not None
        self.proctor.send_signal(signal.SIGKILL)
        self.proctor.communicate()

    def open_room(self) -> None:
        """Start a rehearsal room; /end ends it and what it started."""
        place = self.home / "room"
        words = [sys.executable, "-m", "harness.runtime.inside.room", "--host", "127.0.0.2"]
        words += ["--port", str(self.room_port), "--run", str(place / "run")]
        words += ["--workspace", str(place / "workspace"), "--registry", str(place / "registry")]
        self.rooms.append(subprocess.Popen(words))

    def close(self) -> None:
        """End whatever was started."""
        if self.proctor is not None and self.proctor.poll() is None:
            self.proctor.terminate()
            self.proctor.communicate(timeout=20)
        for room in self.rooms:
            with suppress(httpx.HTTPError):
                httpx.post(f"http://127.0.0.2:{self.room_port}/end", timeout=20)
            room.wait(20)
        ProcessRuntime().down(self.home / "run")


@contextmanager
def led(tiny_root: Path, home: Path, minutes: float = 10) -> Iterator[Led]:
    """A laid-out attempt whose stack is up and whose proctor is not started yet."""
    root = home / "pack"
    shutil.copytree(tiny_root / "tiny", root / "tiny")
    toml = root / "tiny" / "scenario.toml"
    toml.write_text(toml.read_text().replace("minutes = 10", f"minutes = {minutes}"))
    scenario = scenarios.load(root / "tiny")
    variant = variants.draw(scenario, SEED)
    layouts = Layouts(home / "cache")
    site = site_in(home)
    copy_site(layouts.broken(scenario, variant), site)
    (home / "clock").write_text(f"{variant.business_date}\n")
    plan = StackPlan.of(scenario, site, home / "clock", name="live", folder=home / "run", graded=False)
    stack = ProcessRuntime().up(plan, 60.0, lambda _: None)
    here = Led(root, home, stack)
    urls = {"serving": stack.endpoint("serving")}
    seal(Sealed(attempt="ada", scenario="tiny", seed=SEED, urls=urls), scenario, variant, layouts, home / "sealed")
    try:
        yield here
    finally:
        here.close()
