"""Another line in a workspace's code that changes nothing it does: what is made by other code must say so."""

from __future__ import annotations

from collections.abc import Collection

from harness.model import Stack

LINE = b"\n# The code is another one now, and does what it did.\n"
FILES_AT_MOST = 400
STARTED = b"#!"
"""What is started by itself must stay executable, which a file put in its place is not."""


def add_line(stack: Stack, elsewhere: Collection[str]) -> int:
    """Append a comment to every Python file of a stack's workspace; returns to how many. Raises StackError.

    `elsewhere` are the folders that hold no code of the workspace's.
    """
    every = [path for path in stack.listing(".") if path.endswith(".py") and path.split("/")[0] not in elsewhere]
    changed = 0
    for path in every[:FILES_AT_MOST]:
        content = stack.read(path)
        if content and not content.startswith(STARTED):
            stack.write(path, content + LINE)
            changed += 1
    return changed
