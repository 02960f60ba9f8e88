"""The harness's end of the keeper: one `docker exec` that stays, so that a file costs a millisecond."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from typing import Any

from harness.errors import StackError
from harness.runtime.inside import places

DEADLINE_S = 60.0
MAX_LINE = 64 * 2**20
"""A listing of as many names as a workspace may hold, at a thousand characters each, fits."""


class Files:
    """Asks the keeper of one stack. Safe to be called from several threads; they take turns."""

    def __init__(self, stack: str, container: str) -> None:
        self._stack = stack
        self._container = container
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, do: str, content: bytes = b"", **words: str) -> tuple[Any, bytes]:
        """One request; returns what was answered. Raises StackError when the keeper refuses or is not there."""
        head = json.dumps({"do": do, "size": len(content), **words}).encode() + b"\n"
        with self._lock:
            try:
                said, got = self._exchange(head + content)
            except (OSError, ValueError):
                self.close()  # the engine or the container came back meanwhile: once more
                try:
                    said, got = self._exchange(head + content)
                except (OSError, ValueError) as exc:
                    self.close()
                    raise StackError(self._stack, f"The keeper of its files does not answer: {exc}.") from exc
        if "error" in said:
            raise StackError(self._stack, f"{words.get('path', do)} {said['error']}.")
        return said["ok"], got

    def close(self) -> None:
        """End the exec; the next request begins another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            process.wait()

    def __del__(self) -> None:
        self.close()

    def _exchange(self, asked: bytes) -> tuple[dict[str, Any], bytes]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(DEADLINE_S, process.kill)
        watchdog.start()
        try:
            process.stdin.write(asked)
            process.stdin.flush()
            said: dict[str, Any] = json.loads(process.stdout.readline(MAX_LINE) or b"(nothing)")
            got = process.stdout.read(said["size"])
            if len(got) != said["size"]:
                raise ValueError("its answer ends too early")
        finally:
            watchdog.cancel()
        return said, got

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                ["docker", "exec", "-i", self._container, *places.PYTHON, "harness.runtime.inside.keeper"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process
