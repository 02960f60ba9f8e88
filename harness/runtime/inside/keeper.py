"""The keeper: reads and writes files of a stack's workspace for the harness, and sets the business date.

One request at a time on stdin, one answer each on stdout. Both are a line of JSON and then `size` bytes. It runs in a
container of its own, where nothing of the candidate's runs, and opens every part of a path by descriptor without
following links: no race can lead it out of the workspace.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from harness.runtime.inside import places

MAX_READ = 64 * 2**20
OWNER = places.UIDS["workspace"]
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Outside(Exception):
    """A path that leads out of the workspace, or through a link."""


class Keeper:
    """Operations on one workspace. Every path is relative to it; OSError where the system refuses."""

    def __init__(self, workspace: str = places.WORKSPACE, clock: str = places.CLOCK, owner: int = OWNER) -> None:
        self._workspace = workspace
        self._clock = Path(clock)
        self._owner = owner

    def read(self, path: str) -> bytes | None:
        """A regular file's first MAX_READ bytes, or None."""
        try:
            with self._parent(path) as (folder, name):
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except (OSError, Outside):
            return None
        with os.fdopen(file, "rb") as opened:
            return opened.read(MAX_READ) if stat.S_ISREG(os.fstat(file).st_mode) else None

    def write(self, path: str, content: bytes) -> None:
        """Put a file in place at once, with the folders that lead to it and its mode. Raises Outside, OSError."""
        with self._parent(path, make=True) as (folder, name):
            partial = f".{name}.partial"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=folder)
            file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
            with os.fdopen(file, "wb") as opened:
                opened.write(content)
                os.fchown(file, self._owner, self._owner)
                with contextlib.suppress(FileNotFoundError):
                    os.fchmod(file, os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode & 0o777)
            os.replace(partial, name, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self, path: str) -> None:
        """Remove a file or a folder; nothing happens where it is not, or lies behind a link."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, Outside), self._parent(path) as (folder, name):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=folder, onerror=_unless_gone)
            else:
                os.unlink(name, dir_fd=folder)

    def listing(self, path: str) -> list[str]:
        """Sorted paths of the regular files below a folder, "." for the whole workspace; empty where it is none."""
        try:
            if path == ".":
                folder = os.open(self._workspace, FOLDER)
            else:
                with self._parent(path) as (parent, name):
                    folder = os.open(name, FOLDER, dir_fd=parent)
        except (OSError, Outside):
            return []
        try:
            found = []
            for root, _, files, here in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
                for file in files:
                    if _is_regular(file, here):
                        found.append(os.path.normpath(f"{path}/{root}/{file}"))
            return sorted(found)
        finally:
            os.close(folder)

    def set_date(self, text: str) -> None:
        """Put the business date in place at once."""
        partial = self._clock.with_name(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.chmod(0o644)
        partial.replace(self._clock)

    @contextlib.contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that holds a path's last part, and that part."""
        *parts, last = self._parts(path)
        current = os.open(self._workspace, FOLDER)
        try:
            for part in parts:
                if make:
                    self._make(part, current)
                inner = _enter(part, current)
                os.close(current)
                current = inner
            yield current, last
        finally:
            os.close(current)

    def _make(self, name: str, folder: int) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=folder)
            os.chown(name, self._owner, self._owner, dir_fd=folder, follow_symlinks=False)

    @staticmethod
    def _parts(path: str) -> tuple[str, ...]:
        parts = Path(path).parts
        if not parts or Path(path).is_absolute() or ".." in parts:
            raise Outside(path)
        return parts


def _is_regular(name: str, folder: int) -> bool:
    with contextlib.suppress(FileNotFoundError):  # gone meanwhile
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    return False


def _unless_gone(_: object, __: str, failed: tuple[type[BaseException], BaseException, TracebackType]) -> None:
    """The candidate may remove the same folder at the same time: what is left of it is to go all the same."""
    if not isinstance(failed[1], FileNotFoundError):
        raise failed[1]


def _enter(name: str, folder: int) -> int:
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise Outside(name) from exc


def answer(keeper: Keeper, asked: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """One request's answer: {"ok": …} and bytes, or {"error": …}."""
    operations: dict[str, Callable[[], Any]] = {
        "read": lambda: keeper.read(asked["path"]),
        "write": lambda: keeper.write(asked["path"], content),
        "remove": lambda: keeper.remove(asked["path"]),
        "listing": lambda: keeper.listing(asked["path"]),
        "date": lambda: keeper.set_date(asked["text"]),
        "ping": lambda: "pong",
    }
    try:
        got = operations[asked["do"]]()
    except Outside:
        return {"error": "leads out of the workspace by a link"}, b""
    except OSError as exc:
        return {"error": f"{exc.strerror}"}, b""
    except RecursionError:
        return {"error": "holds folders deeper than can be followed"}, b""
    if isinstance(got, bytes):
        return {"ok": True}, got
    return {"ok": got}, b""


def serve(keeper: Keeper, asked: BinaryIO, said: BinaryIO) -> None:
    """Answer until stdin ends."""
    while line := asked.readline():
        head = json.loads(line)
        got, content = answer(keeper, head, asked.read(head.get("size", 0)))
        said.write(json.dumps({**got, "size": len(content)}).encode() + b"\n" + content)
        said.flush()


if __name__ == "__main__":
    serve(Keeper(), sys.stdin.buffer, sys.stdout.buffer)
