"""The files of an attempt: digests, changes, freezing into a submission, and unpacking one that may be hostile.

An archive holds `workspace/…`, `registry/mlflow.db` and `registry/artifacts/…`, and nothing else.
"""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import os
import shutil
import sqlite3
import subprocess
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, cast

from harness.errors import SubmissionError
from harness.model import Change, Site

ALWAYS_LEFT_OUT = (".git", "__pycache__", ".ipynb_checkpoints", "*.pyc", "*.pyo")
MAX_FILES = 20_000
MAX_FILE_BYTES = 64 * 2**20
MAX_BYTES = 512 * 2**20
"""Bounds of a submission: an honest one has a few hundred files and some twenty megabytes."""

MAX_DEPTH = 64
"""Folders below one another; an honest registry has some eight."""

MAX_PATH_BYTES = 1000
"""Of a path below the workspace or the registry. A system takes 4096, its own folders before it included."""

HEADER_BYTES = 64 * 2**10
HEADERS_BYTES = 64 * 2**20
"""What an archive may hold between two contents, and in all beside them: freezing the most files with the longest paths
makes 3 kB and 50 MB."""

LOCKED_SECONDS = 60.0
"""A registry's transactions last milliseconds."""


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder, bytecode and caches left out; links are copied as links."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*ALWAYS_LEFT_OUT))


def copy_site(source: Site, target: Site) -> None:
    """Copy a laid-out site into an empty place."""
    for old, new in ((source.workspace, target.workspace), (source.private, target.private)):
        copy_tree(old, new)
    copy_registry(source.registry, target.registry)


def copy_registry(source: Path, target: Path) -> None:
    """Copy a registry's folder; a database in use is copied as of one moment."""
    target.mkdir(parents=True, exist_ok=True)
    copy_database(source / "mlflow.db", target / "mlflow.db")
    if (source / "artifacts").is_dir():
        copy_tree(source / "artifacts", target / "artifacts")


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database, also one in use, as of one moment; the source is only read.

    Raises sqlite3.Error, also for one that stays locked for LOCKED_SECONDS.
    """
    target.unlink(missing_ok=True)
    end = time.monotonic() + LOCKED_SECONDS

    def look(status: int, remaining: int, total: int) -> None:  # without it, the backup waits for ever
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > end:
            raise sqlite3.OperationalError(f"it was locked for {LOCKED_SECONDS:.0f} s")

    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new, progress=look)


def registry_entries(registry: Path) -> list[str]:
    """Every model version of a registry's folder as `registry:<model>/<version>`."""
    with closing(sqlite3.connect(f"file:{registry / 'mlflow.db'}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT name, version FROM model_versions ORDER BY name, version").fetchall()
    return [f"registry:{name}/{version}" for name, version in rows]


def first_commit(workspace: Path) -> None:
    """Make the workspace a git repository with one commit, where git is installed."""
    if shutil.which("git") is None:
        return
    identity = ["-c", "user.name=exam", "-c", "user.email=exam@example.org", "-c", "commit.gpgsign=false"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-q", "-m", "As taken over"]):
        subprocess.run(["git", *words], cwd=workspace, env=environment, check=True, capture_output=True)


def files_of(root: Path, leave_out: Sequence[str] = ()) -> Iterator[Path]:
    """Regular files below a folder in sorted order; links, caches and paths in `leave_out` are passed over."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_symlink() or not path.is_file() or left_out(relative, leave_out):
            continue
        yield path


def digests(root: Path, leave_out: Sequence[str] = ()) -> dict[str, str]:
    """Path below `root` -> sha256 in hexadecimal, of every file."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files_of(root, leave_out)
    }


def tree_digest(root: Path) -> str:
    """One sha256 over all paths and contents below a folder."""
    total = hashlib.sha256()
    for path, digest in digests(root).items():
        total.update(f"{path}\0{digest}\n".encode())
    return total.hexdigest()


def changes(given: Mapping[str, str], now: Mapping[str, str]) -> tuple[Change, ...]:
    """What differs between two results of `digests`, sorted by path."""
    found = []
    for path in sorted({*given, *now}):
        if path not in given:
            found.append(Change(path=path, how="added"))
        elif path not in now:
            found.append(Change(path=path, how="removed"))
        elif given[path] != now[path]:
            found.append(Change(path=path, how="changed"))
    return tuple(found)


def freeze(site: Site, archive: Path, leave_out: Sequence[str]) -> str:
    """Write the workspace and the registry of a site into `archive`; returns its sha256.

    The same content gives the same bytes: names are sorted, owners and times are left out. The archive appears whole or
    not at all. Raises SubmissionError when the content is out of bounds.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".partial")
    scratch = archive.with_suffix(".registry")
    try:
        copy_registry(site.registry, scratch)
        with (
            partial.open("wb") as file,
            gzip.GzipFile("", "wb", compresslevel=3, fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            budget = Budget()
            for root, name, without in ((site.workspace, "workspace", leave_out), (scratch, "registry", ())):
                for path in files_of(root, without):
                    budget.take(path.relative_to(root).as_posix(), path.stat().st_size)
                    _add(tar, path, f"{name}/{path.relative_to(root).as_posix()}")
        partial.replace(archive)
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
    return file_digest(archive)


def file_digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, target: Path) -> None:
    """Unpack a submission into an empty folder, as `workspace/` and `registry/`.

    Raises SubmissionError for anything that is no plain file in one of these two, and beyond the bounds: nothing of
    such an archive is kept.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(archive) as packed:
            _unpack_members(_Source(packed), target)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as exc:
        shutil.rmtree(target, ignore_errors=True)
        raise SubmissionError(f"{archive.name} is no submission: {exc}", "Submit again with `exam submit`.") from exc
    except SubmissionError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    if not (target / "workspace").is_dir() or not (target / "registry" / "mlflow.db").is_file():
        shutil.rmtree(target, ignore_errors=True)
        raise SubmissionError(f"{archive.name} is no submission: it lacks a workspace or a registry.")


class _Source:
    """The bytes of an archive as they are unpacked, in order and only as far as they are allowed.

    `tarfile` reads a long name or an extended header whole, and keeps it, before it says that there is a member.
    """

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed
        self._read = 0
        self._most = HEADERS_BYTES
        self._before_next = HEADER_BYTES

    def allow(self, size: int) -> None:
        """A content of `size` bytes may come, and the headers of the next."""
        blocks = -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        self._most += blocks
        self._before_next = self._read + blocks + HEADER_BYTES

    def read(self, size: int) -> bytes:
        """Up to `size` bytes. Raises SubmissionError when that is more than is allowed."""
        chunk = self._packed.read(size)
        self._read += len(chunk)
        if self._read > min(self._most, self._before_next):
            raise SubmissionError(
                f"The submission's archive has headers of more than {HEADER_BYTES // 2**10} KiB for a file, or of more "
                f"than {HEADERS_BYTES // 2**20} MiB in all."
            )
        return chunk


def _unpack_members(source: _Source, target: Path) -> None:
    budget = Budget()
    seen: set[tuple[str, ...]] = set()
    with tarfile.open(fileobj=cast(IO[bytes], source), mode="r|") as tar:  # it calls nothing but `read`
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep every header to the end
            if member.isdir():
                source.allow(0)
                continue
            parts = _parts(member)
            if parts in seen:
                raise SubmissionError(f"The submission holds {member.name[:80]!r} twice.")
            seen.add(parts)
            budget.take("/".join(parts[1:]), member.size)
            source.allow(member.size)
            _write(tar, member, target.joinpath(*parts))
            source.allow(0)


def _parts(member: tarfile.TarInfo) -> tuple[str, ...]:
    """Where a member goes, in names. Raises SubmissionError for anything that is no plain file of a submission."""
    parts = PurePosixPath(member.name).parts
    plain = member.isreg() and not member.issparse() and member.size >= 0
    inside = len(parts) >= 2 and parts[0] in ("workspace", "registry") and ".." not in parts
    if not plain or not inside:
        raise SubmissionError(f"The submission holds {member.name[:80]!r}, which is no plain file of it.")
    return parts


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise SubmissionError(f"The submission holds {member.name[:80]!r}, which cannot be read.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = path.stat().st_size
    info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    with path.open("rb") as file:
        tar.addfile(info, file)


def left_out(relative: Path, leave_out: Sequence[str]) -> bool:
    """Whether a relative path is a cache, or at or below one of `leave_out`."""
    if any(fnmatch.fnmatch(part, pattern) for part in relative.parts for pattern in ALWAYS_LEFT_OUT):
        return True
    text = relative.as_posix()
    return any(text == path or text.startswith(f"{path}/") for path in leave_out)


class Budget:
    """Counts files and bytes of a submission and says when it is out of bounds."""

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0

    def take(self, name: str, size: int) -> None:
        """Count one file of `size` bytes; `name` is its path below the workspace or the registry.

        Raises SubmissionError, and counts nothing, when it is out of bounds.
        """
        if len(name.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
            raise SubmissionError(
                f"{name[-80:]!a} has a path of more than {MAX_PATH_BYTES} bytes.", "Remove it, or move it under var/."
            )
        if name.count("/") > MAX_DEPTH:
            raise SubmissionError(f"{name[-80:]!a} lies more than {MAX_DEPTH} folders deep.", "Move it up.")
        if size > MAX_FILE_BYTES:
            raise SubmissionError(
                f"{name[-80:]!a} is larger than {MAX_FILE_BYTES // 2**20} MiB.", "Keep it under var/."
            )
        if self.files >= MAX_FILES or self.bytes + size > MAX_BYTES:
            raise SubmissionError(
                f"The submission has more than {MAX_FILES} files or {MAX_BYTES // 2**20} MiB.",
                "Remove what the service does not need, or move it under var/.",
            )
        self.files += 1
        self.bytes += size
