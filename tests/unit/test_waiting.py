"""A wait polls at least once, and ends at its deadline."""

from __future__ import annotations

import time

import pytest

from harness.waiting import DeadlinePassed, until


def test_what_is_there_is_returned_at_once() -> None:
    assert until(lambda: "here", 0.0) == "here"


def test_it_is_polled_until_it_comes() -> None:
    answers = iter([None, "", 0, "here"])
    assert until(lambda: next(answers), 5.0, 0.001) == "here"


def test_the_deadline_is_said() -> None:
    began = time.monotonic()
    with pytest.raises(DeadlinePassed) as caught:
        until(lambda: None, 0.05, 0.01)
    assert caught.value.seconds == 0.05
    assert time.monotonic() - began >= 0.05
