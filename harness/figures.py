"""Figures that are measured on a machine, as shown to people."""

from __future__ import annotations

from harness.model import Record


class Figure(Record):
    """One measured figure with its limit."""

    what: str
    measured: str
    limit: str
    ok: bool
