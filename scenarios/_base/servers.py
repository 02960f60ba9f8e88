"""Starts what a story needs while it is built: a registry server, the provider. Used by history.py only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BOOT_S = 90.0
POLL_S = 0.2


@contextmanager
def registry_server(registry: Path) -> Iterator[str]:
    """A registry server over a folder with mlflow.db and artifacts/; yields its address. Raises as `running`."""
    command = ["-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{registry}/mlflow.db"]
    command += ["--artifacts-destination", f"{registry}/artifacts", "--serve-artifacts", "--workers", "1"]
    with running("registry", [*command, "--host", "127.0.0.1", "--port", "{port}"], "/health") as address:
        yield address


@contextmanager
def provider_server(script: Path, data: Path, clock: Path) -> Iterator[str]:
    """The provider over a folder with weather/, without its usual latency; yields its address. Raises as `running`."""
    command = [str(script), "--port", "{port}", "--data", str(data), "--clock", str(clock), "--latency", "0"]
    with running("provider", command, "/healthz") as address:
        yield address


@contextmanager
def running(name: str, command: Sequence[str], ready: str) -> Iterator[str]:
    """A Python process on a free port for as long as the block lasts; yields its address.

    Raises RuntimeError with the end of its log when `ready` does not answer within BOOT_S.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, *(word.replace("{port}", str(port)) for word in command)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(name, process, address + ready, log)
            yield address
        finally:
            _end(process)


def _wait(name: str, process: subprocess.Popen[bytes], url: str, log: Any) -> None:
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_S)
    log.seek(0)
    raise RuntimeError(f"the {name} server was not ready within {BOOT_S:.0f} s: {log.read()[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sign)
            process.wait(seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return
