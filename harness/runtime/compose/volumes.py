"""Fills the volumes of a stack, and takes files out of them, as tar streams through the engine.

No folder of this machine is mounted anywhere, so that the engine may be on another one.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from docker.models.containers import Container

from harness.errors import EnvironmentFault
from harness.runtime.compose.engine import Failures
from harness.runtime.inside import places

SPOOLED = 64 * 2**20
CHUNK = 2**20
MAX_TAKEN = 640 * 2**20
"""A submission has at most 512 MiB; its records are small."""


def fill(container: Container, target: str, owner: int, source: Path | None, files: Mapping[str, bytes]) -> None:
    """Put a folder's content and further files into a volume, owned by `owner`, through a container that has it.

    Links are kept as links, modes as 755 or 644. Raises EnvironmentFault when the engine refuses.
    """
    with tempfile.SpooledTemporaryFile(SPOOLED) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            _folder(tar, ".", owner)
            if source is not None:
                for path in sorted(source.rglob("*")):
                    tar.add(path, path.relative_to(source).as_posix(), recursive=False, filter=_owned(owner))
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.uid, info.gid = len(content), 0o644, owner, owner
                tar.addfile(info, io.BytesIO(content))
        packed.seek(0)
        try:
            container.put_archive(target, _chunks(packed))
        except Failures as exc:
            raise EnvironmentFault(f"{target} of the stack cannot be filled: {str(exc)[:200]}") from exc


def take(container: Container, source: str, target: Path) -> None:
    """Copy the regular files below a folder of a container into an empty folder here, by their names alone.

    Raises EnvironmentFault when the engine refuses, or what comes is too much.
    """
    with tempfile.SpooledTemporaryFile(SPOOLED) as packed:
        try:
            stream, _ = container.get_archive(source)
            for chunk in stream:
                packed.write(chunk)
                if packed.tell() > MAX_TAKEN:
                    raise EnvironmentFault(f"{source} of the stack holds more than {MAX_TAKEN >> 20} MiB.")
        except Failures as exc:
            raise EnvironmentFault(f"{source} of the stack cannot be read: {str(exc)[:200]}") from exc
        packed.seek(0)
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=packed) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                if file is not None:
                    (target / Path(member.name).name).write_bytes(file.read())


def scenario_files(tar_root: Path, folder: Path) -> dict[str, bytes]:
    """A scenario without what no running stack needs: healthy tree, solutions, wrong repairs, notes, bytecode."""
    left_out = {"workspace", "solutions", "shortcuts", "__pycache__", "NOTES.md"}
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not path.is_symlink() and left_out.isdisjoint(relative.parts):
            found[(tar_root / relative).as_posix()] = path.read_bytes()
    return found


def private_files(scenario: Path) -> dict[str, bytes]:
    """What `/private/scenarios` holds of a scenario and of what its place shares."""
    root = Path(places.SCENARIOS).relative_to(places.PRIVATE)
    base = scenario.parent / "_base"
    shared = scenario_files(root / "_base", base) if base.is_dir() else {}
    return {**scenario_files(root / scenario.name, scenario), **shared}


def _folder(tar: tarfile.TarFile, name: str, owner: int) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, 0o755, owner, owner
    tar.addfile(info)


class _owned:  # noqa: N801 - used like a function
    """Gives a member to an owner, without a name, and with one of two modes."""

    def __init__(self, owner: int) -> None:
        self._owner = owner

    def __call__(self, info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = self._owner
        info.uname = info.gname = ""
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
