"""The warden: ends what fills the workspace's disk beyond its quota.

    python -m harness.runtime.inside.warden [--quota MIB]

It sees the box's processes and may send them signals, and nothing else. Above the quota, and as long as the workspace
still grows, it kills every process of the box but its supervisor and JupyterLab's server: a candidate who tidies up is
left alone. Files are counted by the blocks that they take.
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

QUOTA_MIB = 2048
LOOK_S = 2.0
SPARED = ("supervisor.supervisord", "jupyter-lab", "/jupyter")


def used(root: str) -> int:
    """Bytes of disk that a folder takes; what vanishes meanwhile counts nothing. Links are not followed."""
    total = 0
    for folder, _, files in os.walk(root):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{folder}/{name}").st_blocks * 512
    return total


def killable(owner: int, proc: str = "/proc") -> Iterator[int]:
    """Processes of the box that may be ended."""
    for path in Path(proc).iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and path.stat().st_uid == owner:
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if path.name != "1" and not any(word in command for word in SPARED):
                    yield int(path.name)


def look(root: str, quota: int, before: int, owner: int) -> int:
    """One look: what is used now; kills where that is above the quota and more than before."""
    now = used(root)
    if now > quota and now > before:
        sys.stderr.write(f"the workspace takes {now >> 20} MiB of {quota >> 20}: its writers are ended\n")
        for pid in killable(owner):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    return now


def main() -> None:
    """Look for ever."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quota", type=int, default=QUOTA_MIB, help="MiB that a workspace may take")
    quota = parser.parse_args().quota << 20
    before = 0
    while True:
        before = look(places.WORKSPACE, quota, before, places.UIDS["workspace"])
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()
