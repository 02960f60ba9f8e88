"""Copies of a folder that somebody hostile may change meanwhile: no link is followed, whatever races.

Every folder is opened relative to the one above it, and every file by descriptor without following links; what is
looked at is what was opened. So a link that is put in a file's place between a look and a read leads nowhere.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from harness.errors import EnvironmentFault, SubmissionError
from harness.workspace import (
    MAX_DEPTH,
    MAX_FILES,
    MAX_PATH_BYTES,
    Budget,
    copy_database,
    copy_registry,
    left_out,
)

MAX_ENTRIES = 4 * MAX_FILES
"""Names that are looked at, folders and links included."""

PROBLEMS = 20
"""Sentences about what was passed over that are kept."""

MACHINES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors of the machine that copies, whatever is copied: a file is not left out for them."""

CHUNK = 2**20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def snapshot_attempt(
    workspace: Path, registry: Path, target: Path, empty_registry: Path, leave_out: Sequence[str], *, strict: bool
) -> tuple[str, ...]:
    """Copy both below `target`, as workspace/ and registry/; returns a sentence for each thing that was passed over.

    A registry that cannot be read or is beyond all bounds raises as `snapshot_registry` does when `strict`; else
    `empty_registry` takes its place: it must not keep an attempt open whose time is over.
    """
    budget = Budget()
    try:
        passed_over = snapshot_registry(registry, target / "registry", strict=strict, budget=budget)
    except SubmissionError as exc:
        if strict:
            raise
        shutil.rmtree(target / "registry", ignore_errors=True)
        copy_registry(empty_registry, target / "registry")
        passed_over = (str(exc),)
    return passed_over + snapshot(workspace, target / "workspace", leave_out, strict=strict, budget=budget)


def snapshot(
    source: Path,
    target: Path,
    leave_out: Sequence[str] = (),
    *,
    strict: bool = True,
    budget: Budget | None = None,
    within: Path = Path(),
) -> tuple[str, ...]:
    """Copy the regular files of `source` into `target`, made anew; returns a sentence for each that was passed over.

    `within` is where `source` lies below the folder by which bounds count and sentences name. Links, caches and
    `leave_out` are passed over in silence. What cannot be read, cannot be written under its name, or is out of a
    submission's bounds raises SubmissionError when `strict`, else it is passed over. Raises EnvironmentFault where this
    machine cannot copy, for want of room.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    copy = _Copy(leave_out, strict, budget or Budget())
    copy.top(source, target, within)
    return tuple(copy.problems)


def snapshot_registry(
    source: Path, target: Path, *, strict: bool = True, budget: Budget | None = None
) -> tuple[str, ...]:
    """Copy a registry's folder as of one moment: the database by SQLite's backup, artifacts as `snapshot` does.

    Where a crash left the database with a journal that a read-only mount cannot roll back, both are copied and rolled
    back in the copy. Raises SubmissionError when there is no database that can be read, or it is out of bounds, and
    EnvironmentFault as `snapshot` does.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    budget = budget or Budget()
    try:
        Budget().take("mlflow.db", (source / "mlflow.db").stat().st_size)  # before room is spent on it
        _copy_database(source, target)
        budget.take("mlflow.db", (target / "mlflow.db").stat().st_size)  # it may have grown meanwhile
    except (sqlite3.Error, OSError) as exc:
        _blame_machine(exc)
        raise SubmissionError(f"The registry's database cannot be read: {exc}.", "Try again in a minute.") from exc
    if not (source / "artifacts").is_dir():
        return ()
    within = Path("artifacts")
    return snapshot(source / within, target / within, strict=strict, budget=budget, within=within)


def _copy_database(source: Path, target: Path) -> None:
    scratch = target / "crashed"
    try:
        copy_database(source / "mlflow.db", target / "mlflow.db")
    except sqlite3.OperationalError:
        scratch.mkdir()
        for name in ("mlflow.db", "mlflow.db-journal", "mlflow.db-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(source / name, scratch / name)
        with closing(sqlite3.connect(scratch / "mlflow.db")) as old:
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
        copy_database(scratch / "mlflow.db", target / "mlflow.db")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Copy:
    """One copy under way: its bounds, and what was passed over."""

    def __init__(self, leave_out: Sequence[str], strict: bool, budget: Budget) -> None:
        self.problems: list[str] = []
        self._leave_out = leave_out
        self._strict = strict
        self._budget = budget
        self._entries = 0

    def top(self, source: Path, target: Path, relative: Path) -> None:
        """Copy what lies in `source`, whose mode is its owner's to change: one that cannot be opened is passed over."""
        try:
            descriptor = os.open(source, FOLDER)
        except OSError as exc:
            _blame_machine(exc)
            self._pass_over(relative, f"cannot be opened ({exc.strerror})", "Run `chmod u+rwx .` there.")
            return
        with _closing(descriptor) as opened:
            self.folder(opened, target, relative)

    def folder(self, descriptor: int, target: Path, relative: Path) -> None:
        """Copy what lies in an open folder into `target`, which is there."""
        if len(relative.parts) > MAX_DEPTH:
            self._pass_over(relative, f"lies more than {MAX_DEPTH} folders deep")
            return
        for name in self._names(descriptor, relative):
            inner = relative / name
            if not left_out(inner, self._leave_out):
                self._entry(descriptor, name, target / name, inner)

    def _names(self, descriptor: int, relative: Path) -> list[str]:
        with os.scandir(descriptor) as found:
            names = [entry.name for entry in islice(found, MAX_ENTRIES - self._entries + 1)]
        self._entries += len(names)
        if self._entries > MAX_ENTRIES:
            self._pass_over(relative, f"is one of more than {MAX_ENTRIES} names")
            return []
        return sorted(names)

    def _entry(self, above: int, name: str, target: Path, relative: Path) -> None:
        try:
            if len(relative.as_posix().encode()) > MAX_PATH_BYTES:
                self._pass_over(relative, f"has a path of more than {MAX_PATH_BYTES} bytes")
                return
            kind = os.stat(name, dir_fd=above, follow_symlinks=False).st_mode
            if stat.S_ISDIR(kind) or stat.S_ISREG(kind):
                self._opened(above, name, kind, target, relative)
        except FileNotFoundError:
            return  # gone meanwhile
        except UnicodeError:  # a name that is not UTF-8 cannot stand in a list of changes
            self._pass_over(relative, "has a name that is not UTF-8")
        except OSError as exc:
            _blame_machine(exc)
            self._pass_over(relative, f"cannot be copied ({exc.strerror})")

    def _opened(self, above: int, name: str, kind: int, target: Path, relative: Path) -> None:
        with _closing(os.open(name, FOLDER if stat.S_ISDIR(kind) else FILE, dir_fd=above)) as inside:
            if stat.S_ISDIR(kind):
                target.mkdir()
                self.folder(inside, target, relative)
            else:
                self._file(inside, target, relative)

    def _file(self, descriptor: int, target: Path, relative: Path) -> None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return
        try:
            self._budget.take(relative.as_posix(), found.st_size)
        except SubmissionError as exc:
            if self._strict:
                raise
            self._note(str(exc))
            return
        with target.open("xb") as file:
            try:
                _copy_bytes(descriptor, file, found.st_size)  # it may grow meanwhile: what was counted is read
            except OSError:
                target.unlink()  # half a file is none
                raise
        target.chmod(0o755 if found.st_mode & 0o100 else 0o644)

    def _pass_over(self, relative: Path, why: str, next_step: str = "") -> None:
        sentence = f"{relative.as_posix()[-80:]!a} {why}."
        if self._strict:
            raise SubmissionError(sentence, next_step or "Fix or remove it, or move it under var/; then try again.")
        self._note(sentence)

    def _note(self, sentence: str) -> None:
        if len(self.problems) < PROBLEMS:
            self.problems.append(sentence)


def _copy_bytes(descriptor: int, file: BinaryIO, size: int) -> None:
    while size > 0 and (chunk := os.read(descriptor, min(CHUNK, size))):
        file.write(chunk)
        size -= len(chunk)
    file.flush()


def _blame_machine(exc: BaseException) -> None:
    """Raise EnvironmentFault where an error is this machine's."""
    full = getattr(exc, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
    if full or getattr(exc, "errno", None) in MACHINES:
        raise EnvironmentFault(
            f"The attempt cannot be copied: {exc}.", "Try again; if it recurs, tell whoever holds the exam."
        ) from exc


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
