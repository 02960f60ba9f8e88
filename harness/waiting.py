"""Waiting: a deadline, a poll, and a diagnosis when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlinePassed(Exception):
    """What was waited for did not come in time; `seconds` is how long it was waited for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not within {seconds:.0f} s")
        self.seconds = seconds


def until(poll: Callable[[], T | None], deadline_s: float, poll_s: float = 0.2) -> T:
    """Call `poll` until it returns something that is true, and return that.

    It is polled at least once, and once more at the deadline. Raises DeadlinePassed after `deadline_s` seconds on the
    monotonic clock; the caller adds the diagnosis.
    """
    end = time.monotonic() + deadline_s
    while True:
        last = time.monotonic() >= end
        found = poll()
        if found:
            return found
        if last:
            raise DeadlinePassed(deadline_s)
        time.sleep(min(poll_s, max(0.0, end - time.monotonic())))
