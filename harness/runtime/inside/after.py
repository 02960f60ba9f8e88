"""`after.py URL COMMAND…`: waits until an address answers 200, then becomes the command."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import urllib.request

POLL_S = 0.5


def answers(url: str) -> bool:
    """Whether an address answers 200 within two seconds."""
    if not url.startswith("http://"):
        return False
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=2.0) as answer:
        return bool(answer.status == 200)
    return False


def main() -> None:
    """Wait as long as it takes: what is waited for may be broken on purpose, and its supervisor says so."""
    url, *command = sys.argv[1:]
    while not answers(url):
        time.sleep(POLL_S)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
