"""`python -m harness.runtime.inside.supervised CONTAINER`: the services of one container under a supervisor.

Reads what runs here from the stack's description, writes supervisord's configuration, and becomes supervisord.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.runtime.inside import places
from harness.runtime.programs import QUIET, Program, configuration

PASSED = ("PATH", "HOME", "EDITOR", "TERM")
"""Variables of the container that its services see; all others come from the description."""


def programs(here: Mapping[str, Any]) -> list[Program]:
    """The programs of a container; one with `after` waits until that address answers before it starts."""
    found = []
    for each in here["programs"]:
        command = list(each["command"])
        if each["after"]:
            command = [sys.executable, "-I", str(Path(__file__).with_name("after.py")), each["after"], *command]
        found.append(Program(each["name"], command, each["directory"], each["environment"]))
    return found


def jupyter(token: str) -> Program:
    """JupyterLab in the workspace, for who has the token."""
    command = [
        "jupyter",
        "lab",
        "--no-browser",
        "--ip=0.0.0.0",
        f"--port={places.JUPYTER_PORT}",
        f"--ServerApp.root_dir={places.WORKSPACE}",
        "--ServerApp.allow_remote_access=True",
        '--ServerApp.terminado_settings={"shell_command": ["/bin/bash"]}',
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
    ]
    return Program("jupyter", command, places.WORKSPACE, {"JUPYTER_TOKEN": token})


def environment(told: Mapping[str, str]) -> dict[str, str]:
    """What services, jobs and terminals of the container see."""
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    return {**passed, **QUIET, **told}


def supervisord(config: Path) -> list[str]:
    """The words that start a supervisor in the foreground."""
    return [sys.executable, places.SAFE, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", str(config)]


def _token() -> str:
    """The token that was given; else one by chance, which the container's log tells whoever may read it."""
    given = os.environ.get("EXAM_JUPYTER_TOKEN", "")
    if given:
        return given
    drawn = secrets.token_urlsafe(24)
    sys.stderr.write(f"JupyterLab: port {places.JUPYTER_PORT} of the door, /lab?token={drawn}\n")
    return drawn


def main() -> None:
    """Become the supervisor of the container named on the command line."""
    name = sys.argv[1]
    described = json.loads(Path(places.STACK).read_text(encoding="utf-8"))
    here = described["containers"].get(name, {"programs": [], "ready": ""})
    found = programs(here)
    if os.environ.get("EXAM_JUPYTER") == "on":
        found.append(jupyter(_token()))
    logs = Path(places.LOGS)
    logs.mkdir(parents=True, exist_ok=True)
    Path(places.READY).write_text(here["ready"], encoding="utf-8")
    config = Path(places.RUN) / "supervisord.conf"
    config.write_text(
        configuration(
            found,
            socket=places.SOCKET,
            logs=places.LOGS,
            pidfile=f"{places.RUN}/supervisord.pid",
            foreground=True,
            autostart=True,
        ),
        encoding="utf-8",
    )
    os.execve(sys.executable, supervisord(config), environment(described["environment"]))


if __name__ == "__main__":
    main()
