"""Looks whether a running stack holds a fault: None when it does, else a sentence with what was found instead."""

from __future__ import annotations

from collections.abc import Callable

from harness.model import DrawnFault, Stack

InPlace = Callable[[Stack, DrawnFault], str | None]


def says(path: str, text: str) -> InPlace:
    """A look whether a file of the workspace holds a text."""

    def look(stack: Stack, fault: DrawnFault) -> str | None:
        content = stack.read(path) or b""
        return None if text.encode() in content else f"{fault.id}: {path} has been changed"

    return look


def all_of(*looks: InPlace) -> InPlace:
    """The first of several looks that finds something missing."""

    def look(stack: Stack, fault: DrawnFault) -> str | None:
        return next((problem for each in looks if (problem := each(stack, fault)) is not None), None)

    return look
