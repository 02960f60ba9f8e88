"""What a folder takes of its disk. `python -m harness.runtime.inside.disk` is the keeper's first process: it measures
the workspace again and again and writes what it found into the clock's volume, where the box's warden reads it.

It is measured there, and not in the box, for files may have any mode: the keeper may read them all, and nothing of the
candidate's runs beside it. Folders are entered by descriptor, without following a link.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.runtime.inside import places

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NAMES = 50_000
"""Names that a folder may hold, folders, links and empty files among them; a submission has 20 000 files at most."""

MOST = 2 * NAMES
"""Nothing is counted beyond it, so that a look takes a second or two whatever lies there."""

LOOK_S = 1.0


@dataclass(frozen=True)
class Taken:
    """What lies in a folder: bytes of disk, and names at every depth; `at` is when it was begun to be measured, on the
    monotonic clock, which all containers of an engine share."""

    bytes: int = 0
    names: int = 0
    at: float = 0.0


class Count:
    """Adds up what is found; a file with several names takes its blocks once."""

    def __init__(self) -> None:
        self.bytes = 0
        self.names = 0
        self._linked: set[tuple[int, int]] = set()

    @property
    def full(self) -> bool:
        """Whether enough was counted."""
        return self.names > MOST

    def folder(self, opened: int) -> list[str]:
        """Count what lies in an open folder; returns the names of the folders in it. Raises OSError."""
        found = []
        with os.scandir(opened) as entries:
            for entry in entries:
                if self.full:
                    break
                with suppress(OSError):  # gone meanwhile
                    state = entry.stat(follow_symlinks=False)
                    self._add(state)
                    if stat.S_ISDIR(state.st_mode):
                        found.append(entry.name)
        return found

    def _add(self, state: os.stat_result) -> None:
        self.names += 1
        identity = (state.st_dev, state.st_ino)
        if state.st_nlink > 1 and not stat.S_ISDIR(state.st_mode):
            if identity in self._linked:
                return
            self._linked.add(identity)
        self.bytes += state.st_blocks * 512


def taken(root: str) -> Taken:
    """What lies below a folder, at any depth; at most MOST names are looked at. What vanishes meanwhile counts nothing.

    Every folder on the way down is held open, so that a path may be longer than the system names. A tree with more of
    them than this process may open counts as full.
    """
    began = time.monotonic()
    count = Count()
    open_now: list[tuple[int, list[str]]] = []
    inner: str | None = root
    try:
        while not count.full:
            if inner is not None:
                _enter(inner, open_now, count)
            elif open_now:
                os.close(open_now.pop()[0])
            else:
                break
            inner = open_now[-1][1].pop() if open_now and open_now[-1][1] else None
    finally:
        for opened, _ in open_now:
            os.close(opened)
    return Taken(count.bytes, count.names, began)


def _enter(name: str, open_now: list[tuple[int, list[str]]], count: Count) -> None:
    try:
        opened = os.open(name, FOLDER, dir_fd=open_now[-1][0] if open_now else None)
        open_now.append((opened, []))
        open_now[-1][1].extend(count.folder(opened))
    except OSError as exc:
        if exc.errno in (errno.EMFILE, errno.ENFILE):
            count.names = MOST + 1


def free(root: str) -> int:
    """Bytes that the file system of a folder has left for ordinary users."""
    found = os.statvfs(root)
    return found.f_bavail * found.f_frsize


def put(found: Taken, path: str = places.TAKEN) -> None:
    """Write what was found, whole or not at all. Raises OSError."""
    partial = Path(f"{path}.partial")
    partial.write_text(json.dumps(asdict(found)), encoding="ascii")
    partial.chmod(0o644)
    partial.replace(path)


def got(path: str = places.TAKEN) -> Taken:
    """What was written last; nothing where nothing was."""
    try:
        return Taken(**json.loads(Path(path).read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        return Taken()


def main() -> None:
    """Measure until the container ends, with as many folders open as the engine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    while True:
        with suppress(OSError):  # a full disk: the warden looks at what is free, too
            put(taken(places.WORKSPACE))
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()
