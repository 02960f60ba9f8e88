"""Runs a scenario's history.py: a process of its own, with the healthy workspace's code and what lies here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import ScenarioError

SECONDS = 900
PATIENCE_S = 30
QUIET = {
    "PYTHONDONTWRITEBYTECODE": "1",  # no __pycache__ in what a candidate gets
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",  # sums in one order: the same coefficients each time
    "OPENBLAS_NUM_THREADS": "1",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def run(script: Path, plan_file: Path, places: Sequence[Path] = ()) -> None:
    """Run `script PLAN` in the plan's folder; it can import from `places` and from the folder of this module.

    Raises ScenarioError with its last words when it fails, or has not ended within SECONDS.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    path = os.pathsep.join(map(str, [*places, Path(__file__).parent]))
    command = [sys.executable, str(script), str(plan_file)]
    environment = {**kept, **QUIET, "PYTHONPATH": path}
    with subprocess.Popen(
        command, env=environment, cwd=plan_file.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired as exc:
            _end(process)
            raise ScenarioError(f"The story's history was not built within {SECONDS} s.") from exc
        except BaseException:  # whoever stops the layout must not leave a registry server behind
            _end(process)
            raise
    if process.returncode != 0:
        raise ScenarioError(f"The story's history could not be built: {said[-2000:]}")


def _end(process: subprocess.Popen[str]) -> None:
    """Let the script end what it has started; a script that does not end is killed."""
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
