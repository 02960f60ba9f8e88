"""Waiting for something that a stack is to do: a deadline, a poll and a diagnosis."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.errors import StackError, TooLate
from harness.model import Stack


def until(
    stack: Stack,
    what: str,
    poll: Callable[[], str | None],
    deadline_s: float,
    poll_s: float = 0.5,
) -> float:
    """Poll until the stack has done `what`; returns the seconds that took.

    `poll` returns None once it is done, else a phrase saying what it sees now ("version 3 on 12 of 60 answers").
    A StackError of this stack while polling is such a state too: a service may stumble on its way. The last poll
    that counts begins before the deadline. Raises TooLate "`what` within N s did not happen; last seen: …".
    Monotonic clock.
    """
    start = time.monotonic()
    while True:
        state = _look(stack, poll)
        elapsed = time.monotonic() - start
        if state is None:
            return elapsed
        if elapsed + poll_s >= deadline_s:
            raise TooLate(stack.name, f"Not within {deadline_s:g} s: {what}. Last seen: {state}.")
        time.sleep(poll_s)


def _look(stack: Stack, poll: Callable[[], str | None]) -> str | None:
    try:
        return poll()
    except StackError as exc:
        if exc.stack != stack.name:
            raise
        return str(exc).rstrip(".")
