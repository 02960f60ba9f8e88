"""Another line in a workspace's code that changes nothing it does: what is made by other code must say so."""

from __future__ import annotations

from collections.abc import Collection

from harness.model import Stack

LINE = b"\n# The code is another one now, and does what it did.\n"
FILES_AT_MOST = 400
INTERPRETER = b"python"


def add_line(stack: Stack, elsewhere: Collection[str]) -> int:
    """Append a comment to every Python file of a stack's workspace; returns to how many. Raises StackError.

    Files without a suffix count where their first line names Python. `elsewhere` are the folders that hold no code of
    the workspace's.
    """
    every = [path for path in stack.listing(".") if path.split("/")[0] not in elsewhere]
    named = [path for path in every if path.endswith(".py") or "." not in path.rsplit("/", 1)[-1]]
    changed = 0
    for path in named[:FILES_AT_MOST]:
        content = stack.read(path)
        if content and (path.endswith(".py") or _starts_python(content)):
            stack.write(path, content + LINE)
            changed += 1
    return changed


def _starts_python(content: bytes) -> bool:
    first = content.split(b"\n", 1)[0]
    return first.startswith(b"#!") and INTERPRETER in first
