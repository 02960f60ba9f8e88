"""Lands deliveries with a workspace's own code, as `rm -r table` and a night do; wrong repairs need it, and tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

from harness.errors import ScenarioError
from harness.model import Site

SECONDS = 600
LAND = """
import sys
from datetime import date
from pathlib import Path
from delays import config, ingest
ingest.land(config.load(Path(sys.argv[1])), date.fromisoformat(sys.argv[2]))
"""


def anew(site: Site, day: date, code: Path | None = None) -> None:
    """Make the table of a site anew on the night of `day`, by its own code or by that of another workspace.

    Raises ScenarioError with the last words of code that does not land.
    """
    shutil.rmtree(site.workspace / "table", ignore_errors=True)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-B", "-P", "-c", LAND, str(site.workspace), str(day)],
        env={**kept, "PYTHONPATH": str(code or site.workspace), "PYTHONWARNINGS": "ignore"},
        cwd=site.workspace,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        raise ScenarioError(f"Nothing was landed: {done.stderr[-1000:]}")
