"""A story's script that is stopped takes along what it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from kits import ended

from harness.waiting import until

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0

SCRIPT = """
    import pathlib, signal, subprocess, sys
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        pathlib.Path("server.pid").write_text(str(server.pid))
        server.wait()
    finally:
        server.kill()
"""
CALLER = """
    import pathlib, signal, sys
    sys.path.insert(0, {base!r})
    import scripts
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    scripts.run(pathlib.Path("script.py"), pathlib.Path("plan.json").absolute())
"""


def test_a_layout_that_is_terminated_leaves_no_process_of_its_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    caller = textwrap.dedent(CALLER).format(base=str(ROOT / "scenarios" / "_base"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", caller], cwd=tmp_path, env=environment) as process:
        server = _pid(tmp_path / "server.pid")
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)
    until(lambda: ended(server), DEADLINE_S)


def _pid(path: Path) -> int:
    return int(until(lambda: path.is_file() and path.read_text(), DEADLINE_S, 0.05))
