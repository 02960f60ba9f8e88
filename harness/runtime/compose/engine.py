"""The Docker engine, by its own client: DOCKER_HOST and contexts lead to a remote one by the ordinary means.

Compose describes and creates (`docker compose`, the only tool that reads compose.yaml); all else goes over the SDK.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import docker
import psutil
import requests
from docker.errors import DockerException
from docker.models.containers import Container

from harness.errors import EnvironmentFault
from harness.runtime.inside import places

ROOT = Path(__file__).resolve().parents[3]
"""Where compose.yaml and the Dockerfile lie."""

PREFIX = "exam."
ATTEMPT, STACK, HOME, STARTER = f"{PREFIX}attempt", f"{PREFIX}stack", f"{PREFIX}home", f"{PREFIX}starter"
"""Labels of everything that belongs to a stack: its attempt, its folder, the home folder of both, who started it.

Folders are told from those of other machines that use the same engine: see `marked`."""

SERVICE_LABEL = "com.docker.compose.service"
IMAGES = ("tools", "registry", "box", "private", "driver")
COMMAND_SECONDS = 120.0
ENGINE = (25, 0, 5)
"""The oldest engine: before it, an internal network passed questions for names on to the world (CVE-2024-29018)."""

ADDRESS = os.environ.get("EXAM_ADDRESS", "127.0.0.1")
"""Where the door publishes, and where this machine finds it: of a remote engine an address that leads to it."""

JUPYTER_ADDRESS = os.environ.get("EXAM_JUPYTER_ADDRESS", ADDRESS)
"""The same of JupyterLab, which alone asks for a token: candidates may reach it where nothing else is open."""

Failures = (DockerException, requests.exceptions.RequestException)
"""What a call of the SDK may raise, also when the engine goes away meanwhile."""


@lru_cache(maxsize=1)
def client() -> Any:
    """The engine's client, as DOCKER_HOST or the current context say. Raises EnvironmentFault where none answers."""
    try:
        found = docker.from_env(timeout=60, max_pool_size=32)
        found.ping()
    except Failures as exc:
        raise EnvironmentFault(
            f"No Docker engine answers: {str(exc)[:200]}",
            "Start one, or name one with DOCKER_HOST; `exam doctor` looks.",
        ) from exc
    return found


def address_of(port: int) -> str:
    """Where the door publishes a port of the stack's network."""
    return JUPYTER_ADDRESS if port == places.JUPYTER_PORT else ADDRESS


def tag() -> str:
    """The images' tag: EXAM_TAG, else local."""
    return os.environ.get("EXAM_TAG", "local")


def engine_problem() -> str | None:
    """Why no stack can run in containers here, as one sentence; None where it can."""
    try:
        need()
    except EnvironmentFault as exc:
        return f"{exc} {exc.next_step}".strip()
    return None


def need() -> None:
    """Raise EnvironmentFault where no stack can run in containers."""
    old = too_old(str(client().version()["Version"]))
    if old:
        raise EnvironmentFault(old, "Update the engine; `exam doctor` looks.")
    _run(["version"], {})
    missing = missing_images()
    if missing:
        raise EnvironmentFault(f"Images are missing: {', '.join(missing)}.", "Run `make images` once.")


def too_old(version: str) -> str | None:
    """Why an engine of this version does not do, as one sentence; None where it does."""
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found and tuple(int(part or 0) for part in found.groups()) >= ENGINE:
        return None
    return f"The Docker engine is {version}; {'.'.join(map(str, ENGINE))} or later keeps a stack from the world."


def missing_images() -> list[str]:
    """The images that are not there."""
    # One request: a list of objects asks for each image again, and one may be gone by then.
    there = {name for image in client().api.images() for name in image.get("RepoTags") or ()}
    return [name for name in (f"exam-{role}:{tag()}" for role in IMAGES) if name not in there]


def compose(words: Sequence[str], project: str, variables: Mapping[str, str]) -> None:
    """Run a compose command on a project. Raises EnvironmentFault with the end of what it said."""
    _run(["-p", project, "-f", str(ROOT / "compose.yaml"), "--project-directory", str(ROOT), *words], variables)


def _run(words: Sequence[str], variables: Mapping[str, str]) -> None:
    command = ["docker", "compose", *words]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **variables},
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise EnvironmentFault(f"`docker compose` does not run: {exc}", "Install Docker with Compose.") from exc
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-400:]
        raise EnvironmentFault(f"`docker compose {words[-1]}` failed: {said}", "`exam doctor` looks at the engine.")


def marked(home: str, folder: str) -> str:
    """A folder of a home as labels say it, told from one that is called the same on another machine.

    A home has an identity of its own, drawn once and kept in it, so that it stays when the machine's names change.
    """
    kept = Path(home) / "identity"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        drawn = kept.with_name(f"identity.{uuid.uuid4().hex}")
        drawn.write_text(uuid.uuid4().hex[:12], encoding="ascii")
        with suppress(FileExistsError):  # somebody else was quicker, and that stands
            os.link(drawn, kept)
        drawn.unlink()
    return f"{kept.read_text(encoding='ascii')}:{folder}"


def starter() -> str:
    """This process, told from any other on any machine."""
    return f"{socket.gethostname()}/{os.getpid()}/{psutil.Process().create_time():.2f}"


def runs(label: str) -> bool:
    """Whether a starter may still be at work: on another machine nobody here can tell."""
    host, pid, created = [*label.split("/"), "", ""][:3]
    if host != socket.gethostname() or not pid.isdigit():
        return True
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" == created
    except psutil.Error:
        return False


def containers(labels: Mapping[str, str]) -> list[Container]:
    """All containers with these labels, also those that do not run."""
    wanted = [f"{name}={value}" for name, value in labels.items()]
    found: list[Container] = client().containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
    return found
