"""`python -m harness.runtime.inside.warden [--quota MIB]`: the first process of the box.

It starts the supervisor as the candidate, and ends what fills the workspace's disk beyond its quota. It is root of the
container alone, with the few capabilities that compose.yaml gives: the candidate can neither end it nor look into it.

Above the quota, and as long as the workspace still grows, all processes of the candidate's but the supervisor and its
JupyterLab are killed, and at the next look those, too. Who tidies up is left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness.runtime.inside import places

CANDIDATE = places.UIDS["workspace"]
QUOTA_MIB = 2048
LOOK_S = 2.0
REAP_S = 0.2
SPARED = "jupyter-lab"


def used(root: str) -> int:
    """Bytes of disk that a folder takes, by blocks; what vanishes meanwhile counts nothing. No link is followed."""
    total = 0
    for folder, _, files in os.walk(root):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{folder}/{name}").st_blocks * 512
    return total


def processes(owner: int) -> Iterator[tuple[int, str]]:
    """Processes of a user here, each with its command line."""
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and path.stat().st_uid == owner:
                yield int(path.name), (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


class Warden:
    """Looks at the workspace again and again. `supervisor` is the process that is spared at first."""

    def __init__(self, root: str, quota: int, supervisor: int, owner: int = CANDIDATE) -> None:
        self._root = root
        self._quota = quota
        self._supervisor = supervisor
        self._owner = owner
        self._before = 0
        self._warned = False

    def look(self) -> list[int]:
        """One look; returns the processes that were killed."""
        now = used(self._root)
        growing = now > self._quota and now > self._before
        self._before = now
        killed = [pid for pid, command in processes(self._owner) if growing and self._ends(pid, command)]
        for pid in killed:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if growing:
            sys.stderr.write(f"the workspace takes {now >> 20} MiB of {self._quota >> 20}: its writers are ended\n")
        self._warned = growing
        return killed

    def _ends(self, pid: int, command: str) -> bool:
        return self._warned or (pid != self._supervisor and SPARED not in command)


def start_supervisor() -> int:
    """Start the box's services as the candidate; returns the supervisor's process."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(CANDIDATE)
        os.setuid(CANDIDATE)
        os.execv(sys.executable, [sys.executable, "-m", "harness.runtime.inside.supervised", "box"])
    return pid


def main() -> int:
    """Look until the supervisor ends; then the container ends, and its engine starts it again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quota", type=int, default=QUOTA_MIB, help="MiB that a workspace may take")
    quota = parser.parse_args().quota << 20
    supervisor = start_supervisor()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: os.kill(supervisor, received))
    warden = Warden(places.WORKSPACE, quota, supervisor)
    looked = time.monotonic()
    while not _reaped(supervisor):
        time.sleep(REAP_S)
        if time.monotonic() - looked > LOOK_S:
            warden.look()
            looked = time.monotonic()
    return 1


def _reaped(supervisor: int) -> bool:
    """Reap what has ended; whether the supervisor was among it."""
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            if pid == supervisor:
                return True
    return False


if __name__ == "__main__":
    sys.exit(main())
