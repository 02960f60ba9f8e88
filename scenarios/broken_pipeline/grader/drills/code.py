"""Another line in a workspace's code that changes nothing it does: what is made by other code must say so."""

from __future__ import annotations

from harness.model import Stack

LINE = b"\n# The code is another one now, and does what it did.\n"
ELSEWHERE = ("feeds", "table", "quarantine", "state", "var")
"""Folders that hold no code of the workspace's (BRIEF.md)."""

FILES_AT_MOST = 400
STARTED = b"#!"
"""What is started by itself must stay executable, which a file put in its place is not."""


def add_line(stack: Stack) -> int:
    """Append a comment to every Python file of a stack's workspace; returns to how many. Raises StackError."""
    every = [path for path in stack.listing(".") if path.endswith(".py") and path.split("/")[0] not in ELSEWHERE]
    changed = 0
    for path in every[:FILES_AT_MOST]:
        content = stack.read(path)
        if content and not content.startswith(STARTED):
            stack.write(path, content + LINE)
            changed += 1
    return changed
