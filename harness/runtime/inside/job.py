"""`job.py NAME SECONDS [ARGUMENT…]`: runs a job of the description and says as JSON how it ended.

At its deadline the job is ended with its children: this process adopts what they leave behind (Linux calls it a child
subreaper), so that none outlives it by starting a session of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.runtime.inside import places, reserving
from harness.runtime.inside.supervised import environment

OUTPUT_BYTES = 20_000
PR_SET_CHILD_SUBREAPER = 36
ROUNDS = 50


def run(command: Sequence[str], variables: dict[str, str], deadline_s: float) -> dict[str, Any]:
    """Run a command in the workspace; its exit code (None at the deadline), seconds and the end of its output."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=places.WORKSPACE,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            code = None
        seconds = time.monotonic() - began
        end_all()
        output.seek(0, os.SEEK_END)
        output.seek(max(0, output.tell() - OUTPUT_BYTES))
        text = output.read(OUTPUT_BYTES).decode("utf-8", "replace")
    return {"exit_code": code, "seconds": seconds, "output": text}


def end_all() -> None:
    """Kill children and adopted orphans until none is left; a bounded number of rounds, for one may fork faster."""
    for _ in range(ROUNDS):
        children = _children()
        if not children:
            return
        for pid in children:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)


def _children() -> list[int]:
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(word) for word in path.read_text(encoding="ascii").split()]


def main() -> int:
    """Run what the command line says; 1 with a sentence when it does not start."""
    name, seconds, *arguments = sys.argv[1:]
    reserving.forbid()  # as all that the box's supervisor starts
    described = json.loads(Path(places.STACK).read_text(encoding="utf-8"))
    command = [*described["jobs"][name], *arguments]
    try:
        done = run(command, environment(described["environment"]), float(seconds))
    except OSError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stdout.write(json.dumps(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
