"""Looks for strings in what is streamed: layers, exported containers, volumes."""

from __future__ import annotations

from collections.abc import Iterable


def seen(chunks: Iterable[bytes], needles: Iterable[str]) -> set[str]:
    """Which of the needles a stream of bytes holds, across its chunks too."""
    wanted = {needle: needle.encode() for needle in needles}
    overlap = max(len(each) for each in wanted.values())
    found: set[str] = set()
    end = b""
    for chunk in chunks:
        text = end + chunk
        found |= {needle for needle, each in wanted.items() if each in text}
        end = text[-overlap:]
    return found
