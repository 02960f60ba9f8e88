"""What the client shows: tables and sentences. What came from the workspace is never interpreted by a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from harness.text import one_line, plain

CELL = 240
MARKS = {True: "ok", False: "no", None: "unsure"}
COLOURS = {"ok": "32", "no": "31", "unsure": "33"}


def say(text: str = "") -> None:
    """A sentence of our own, or text that is cleaned here."""
    sys.stdout.write(plain(text, 1_000_000) + "\n")
    sys.stdout.flush()


def show_json(value: Any) -> None:
    """JSON in ASCII, for programs."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in columns on a terminal, tab-separated lines into a pipe."""
    lines = [columns, *([one_line(cell, CELL) for cell in row] for row in rows)]
    if not sys.stdout.isatty():
        for line in lines:
            sys.stdout.write("\t".join(line) + "\n")
        return
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    for line in lines:
        cells = [_coloured(cell.ljust(width), cell) for cell, width in zip(line, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def fail(sentence: str, next_step: str) -> None:
    """An error as one sentence with the next step, on the error stream."""
    sys.stderr.write(f"error: {plain(sentence, 4000)}\n")
    if next_step:
        sys.stderr.write(f"       {plain(next_step, 400)}\n")


def _coloured(text: str, cell: str) -> str:
    return f"\x1b[{COLOURS[cell]}m{text}\x1b[0m" if cell in COLOURS else text
