"""The canonical table of a stack, read as bytes: what cannot be read is the stack's fault, and a sentence says why."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa

from harness.errors import StackError
from harness.model import Stack

FILES_AT_MOST = 3000
BYTES_AT_MOST = 256 * 2**20
"""Of all files of a table together; a healthy one has 3 MB. `Stack.read` gives at most 64 MiB of one."""

SECONDS = 90.0
WORKER = Path(__file__).with_name("table_worker.py")


def read(stack: Stack) -> pd.DataFrame:
    """All of table/**/*.parquet: the canonical columns, NaN where a value is missing. Raises StackError."""
    with tempfile.TemporaryDirectory(prefix="table-") as folder:
        _fetch(stack, Path(folder) / "parts")
        return _parsed(stack.name, Path(folder))


def _fetch(stack: Stack, folder: Path) -> None:
    paths = [path for path in stack.listing("table") if path.endswith(".parquet")]
    if len(paths) > FILES_AT_MOST:
        raise StackError(stack.name, f"The table has {len(paths)} files; at most {FILES_AT_MOST} are read.")
    size = 0
    folder.mkdir(parents=True)
    for path in paths:
        content = stack.read(path) or b""
        size += len(content)
        if size > BYTES_AT_MOST:
            raise StackError(stack.name, f"The table is larger than {BYTES_AT_MOST} bytes.")
        _put(folder / path.removeprefix("table/"), content)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _parsed(name: str, folder: Path) -> pd.DataFrame:
    out = folder / "table.arrow"
    command = [sys.executable, "-I", str(WORKER), str(folder / "parts"), str(out)]
    try:
        subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as exc:
        raise StackError(name, f"The table could not be read within {SECONDS:.0f} s.") from exc
    said = out.with_suffix(".error")
    if said.is_file():
        raise StackError(name, f"The table {said.read_text(encoding='utf-8')[:200]}.")
    if not out.is_file():
        raise StackError(name, "The table cannot be read: its reader was ended.")
    with pa.memory_map(str(out)) as source:
        return pa.ipc.open_file(source).read_all().to_pandas()
