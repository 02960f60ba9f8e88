"""`python -m harness.runtime.inside.warden box | registry`: the first process of a container that fills a volume.

It starts the container's supervisor, and ends what fills the volume's disk beyond its quota. In the box it is root with
the few capabilities that compose.yaml gives, and the candidate can neither end it nor look into it; in the registry it
is the registry's user, whose files nobody but MLflow writes.

Above the quota, or where its disk has too little left, and as long as the volume still grows, all processes but the
supervisor and JupyterLab are killed, and where it grows further, those, too. Who tidies up is left alone. Above twice
the quota nothing runs until somebody else has tidied up: else each restart would write a little more.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.runtime.inside import disk, places, reserving
from harness.runtime.inside.disk import LOOK_S, NAMES, Taken
from harness.runtime.inside.users import become, end_all

QUOTA_MIB = 2048
FLOOR_MIB = 1024
REAP_S = 0.2
SPARED = "jupyter-lab"


@dataclass(frozen=True)
class Volume:
    """What a warden looks after: the folder, who writes it, and how what it takes is found."""

    folder: str
    owner: int
    taken: Callable[[], Taken]


VOLUMES = {
    "box": Volume(places.WORKSPACE, places.UIDS["workspace"], disk.got),
    "registry": Volume(places.REGISTRY, places.UIDS["registry"], lambda: disk.taken(places.REGISTRY)),
}


@dataclass(frozen=True)
class Limits:
    """Bytes and names that a volume may take, and bytes that its file system must have left."""

    quota: int
    floor: int = 0
    names: int = NAMES

    def over(self, now: Taken) -> bool:
        """Whether the volume may not grow further."""
        return now.bytes > self.quota or now.names > self.names

    def closed(self, now: Taken) -> bool:
        """Whether nothing runs any more."""
        return now.bytes > 2 * self.quota or now.names > 2 * self.names


def processes(owner: int) -> Iterator[tuple[int, str]]:
    """Processes of a user here, each with its command line."""
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and path.stat().st_uid == owner:
                yield int(path.name), (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


class Warden:
    """Looks at a volume again and again. `supervisor` is the process that is spared at first; `free` says how many
    bytes the file system has left; `end` ends all processes of a user."""

    def __init__(
        self,
        volume: Volume,
        limits: Limits,
        supervisor: int,
        free: Callable[[], int],
        end: Callable[[int], None] = end_all,
    ) -> None:
        self._volume = volume
        self._limits = limits
        self._spared = {supervisor, os.getpid()}
        self._free = free
        self._end_all = end
        self._taken = volume.taken()
        self._left = free()
        self._warned = False
        self._ended_at = 0.0

    def look(self) -> str:
        """One look; returns why processes were ended, or nothing."""
        now, left = self._volume.taken(), self._free()
        why = self._why(now, left)
        everything = self._warned or self._limits.closed(now)
        if why or (now.at != self._taken.at and self._settled()):
            self._warned = bool(why)
        self._taken, self._left = now, left
        if why:
            sys.stderr.write(f"{self._volume.folder} {why}: its writers are ended\n")
            self._end(everything)
            self._ended_at = time.monotonic()
        return why

    def _settled(self) -> bool:
        """Whether the last measurement was begun after the last ending: else it lacks what the ended ones still wrote,
        and whoever tidies up would be taken for them."""
        return self._taken.at >= self._ended_at

    def _why(self, now: Taken, left: int) -> str:
        grows = self._settled() and (now.bytes > self._taken.bytes or now.names > self._taken.names)
        if self._limits.closed(now) or (grows and self._limits.over(now)):
            return (
                f"takes {now.bytes >> 20} MiB of {self._limits.quota >> 20}, {now.names} names of {self._limits.names}"
            )
        if left < self._limits.floor and left < self._left:
            return f"has {left >> 20} MiB left on its disk and must leave {self._limits.floor >> 20}"
        return ""

    def _end(self, everything: bool) -> None:
        if everything:
            self._end_all(self._volume.owner)
            return
        for pid, command in processes(self._volume.owner):
            if pid not in self._spared and SPARED not in command:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def start_supervisor(container: str, owner: int) -> int:
    """Start a container's services as who works in it; returns the supervisor's process."""
    pid = os.fork()
    if pid == 0:
        become(owner)
        reserving.forbid()
        supervised = "harness.runtime.inside.supervised"
        os.execv(sys.executable, [sys.executable, places.SAFE, "-m", supervised, container])
    return pid


def main() -> int:
    """Look until the supervisor ends; then the container ends, and its engine starts it again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("container", choices=VOLUMES)
    parser.add_argument("--quota", type=int, default=QUOTA_MIB, help="MiB that the volume may take")
    parser.add_argument("--floor", type=int, default=FLOOR_MIB, help="MiB that its disk must have left")
    told = parser.parse_args()
    volume, limits = VOLUMES[told.container], Limits(told.quota << 20, told.floor << 20)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    await_tidied(volume, limits)
    supervisor = start_supervisor(told.container, volume.owner)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: os.kill(supervisor, received))
    watch(Warden(volume, limits, supervisor, lambda: disk.free(volume.folder)), supervisor)
    return 1


def await_tidied(volume: Volume, limits: Limits) -> None:
    """Wait as long as a volume is closed."""
    if limits.closed(volume.taken()):
        sys.stderr.write(f"{volume.folder} takes more than twice its quota: nothing runs until it is tidied up\n")
    while limits.closed(volume.taken()):
        time.sleep(LOOK_S)


def watch(warden: Warden, supervisor: int) -> None:
    """Look until the supervisor has ended."""
    looked = time.monotonic()
    while not _reaped(supervisor):
        time.sleep(REAP_S)
        if time.monotonic() - looked > LOOK_S:
            warden.look()
            looked = time.monotonic()


def _reaped(supervisor: int) -> bool:
    """Reap what has ended; whether the supervisor was among it."""
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            if pid == supervisor:
                return True
    return False


if __name__ == "__main__":
    sys.exit(main())
