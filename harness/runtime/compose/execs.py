"""A command in a container, by `docker exec`, that can neither hang nor fill this process's memory.

What runs in a box is the candidate's to stop, to replace and to make talk without end. So every command has a deadline,
and no more of what it says is read than was asked for.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

BLOCK = 2**16
STDERR_BYTES = 2**16


@dataclass(frozen=True)
class Said:
    """How a command ended: `code` is None where it was cut off, at its deadline (`late`) or because it said too much.

    `out` is what it said until then, `err` the end of what it said on stderr.
    """

    code: int | None
    out: bytes
    err: bytes
    late: bool = False

    @property
    def flooded(self) -> bool:
        """Whether it said more than was asked for."""
        return self.code is None and not self.late

    def sentence(self, limit: int) -> str:
        """The end of what it said of an error, else its exit code."""
        end = self.err[-limit:].decode("utf-8", "replace").strip()
        return end or f"exit code {self.code}"


def ask(command: Sequence[str], seconds: float, most: int, asked: bytes = b"") -> Said:
    """Run a command of this machine with `asked` on stdin; at most `most` bytes of its output are read.

    It is killed when `seconds` are over or when it says more. What it runs in a container may outlive that, and ends
    with the container. Raises OSError when it does not start.
    """
    with tempfile.TemporaryFile() as stdin:
        stdin.write(asked)
        stdin.seek(0)
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            return _read(process, time.monotonic() + seconds, most)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def _read(process: subprocess.Popen[bytes], end: float, most: int) -> Said:
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = bytearray(), bytearray()
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ, out)
        waiting.register(process.stderr, selectors.EVENT_READ, err)
        while waiting.get_map():
            ready = waiting.select(max(0.0, end - time.monotonic()))
            if time.monotonic() >= end:
                return Said(None, bytes(out), bytes(err), late=True)
            for key, _ in ready:
                block = os.read(key.fd, BLOCK)
                if not block:
                    waiting.unregister(key.fileobj)
                key.data.extend(block)
            if len(out) > most:
                return Said(None, bytes(out[:most]), bytes(err))
            del err[:-STDERR_BYTES]
    try:
        return Said(process.wait(max(0.1, end - time.monotonic())), bytes(out), bytes(err))
    except subprocess.TimeoutExpired:
        return Said(None, bytes(out), bytes(err), late=True)
