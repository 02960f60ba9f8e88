"""Runs a proctor: the web application, the beginning of the attempt, and the watch over its deadline."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

import uvicorn

from harness import scenario as scenarios
from harness.errors import ExamError
from harness.proctor.lead import Places, Proctor
from harness.proctor.room import Room
from harness.proctor.sealed import SealedFolder
from harness.proctor.web import CONNECTIONS, Desk, PromptProtocol, app
from harness.runtime.inside import places as inside
from harness.scenario import Scenario

HOSTS = ("proctor", "localhost", "127.0.0.1")
STOP_SECONDS = 5


def main() -> None:
    """Serve until terminated; an attempt that cannot begin is said at /health and on the error stream."""
    told = arguments()
    try:
        proctor = Proctor(
            Places(told.sealed, told.workspace, told.registry, told.clock, told.state),
            _scenario(told.sealed, [path for path in told.scenarios if path.is_dir()]),
            Room(told.room) if told.room else None,
        )
    except ExamError as exc:
        sys.exit(f"error: {exc} {exc.next_step}")
    run(proctor, told.host, told.port, [*HOSTS, *told.hosts])


def run(proctor: Proctor, host: str, port: int, hosts: list[str]) -> None:
    """Serve one attempt until terminated.

    Where it could not begin, the process stays and says why at /health: an engine would start it anew for ever.
    """
    desk = Desk(proctor)
    config = uvicorn.Config(
        app(desk, hosts),
        host=host,
        port=port,
        http=PromptProtocol,
        ws="none",
        lifespan="off",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=STOP_SECONDS,
        access_log=False,
        log_level="warning",
        server_header=False,
        headers=[("Connection", "close")],  # so that a request's deadlines are its connection's
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    stop = threading.Event()
    watcher = threading.Thread(target=_lead, args=(proctor, desk, stop), name="deadline", daemon=True)
    watcher.start()
    server.run()
    stop.set()


def _lead(proctor: Proctor, desk: Desk, stop: threading.Event) -> None:
    try:
        proctor.begin()
    except ExamError as exc:
        desk.problem = f"{exc} {exc.next_step}"
    except Exception as exc:  # noqa: BLE001 - whatever it is, who starts the attempt must learn of it
        desk.problem = f"The attempt could not begin: {type(exc).__name__}: {exc}"
    if desk.problem:
        sys.stderr.write(f"error: {desk.problem}\n")
        return
    proctor.watch(stop)


def _scenario(sealed: Path, roots: list[Path]) -> Scenario:
    return scenarios.find(SealedFolder(sealed).read().scenario, roots)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m harness.proctor", description="Leads one attempt over HTTP.")
    for name, default in (
        ("sealed", inside.SEALED),
        ("workspace", inside.WORKSPACE),
        ("registry", inside.REGISTRY),
        ("clock", inside.CLOCK),
        ("state", inside.STATE),
    ):
        parser.add_argument(f"--{name}", type=Path, default=Path(default))
    parser.add_argument("--room", default="", help="the rehearsal room's address")
    parser.add_argument("--scenarios", type=Path, action="append", default=[Path(inside.SCENARIOS)])
    parser.add_argument("--hosts", action="append", default=[], help="another host name that it answers to; repeatable")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=inside.PROCTOR_PORT)
    return parser.parse_args()
