"""`exam`: the command line. The only place that prints and picks exit codes."""

from __future__ import annotations

import signal

from harness.cli import authors, candidates, evaluators, proving
from harness.cli.app import app


def main() -> None:
    """Entry point of `exam`. Being terminated is like Ctrl-C: what was started is ended first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()


__all__ = ["app", "authors", "candidates", "evaluators", "main", "proving"]
