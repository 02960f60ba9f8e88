"""The share of idle time counts overlapping stretches once."""

from __future__ import annotations

import pytest

from harness.benchmark import idle_share
from harness.model import Activity


def stretch(kind: str, start: float, end: float) -> Activity:
    return Activity(name=kind, kind=kind, start=start, end=end)


@pytest.mark.parametrize(
    ("activities", "share"),
    [
        ([], 1.0),
        ([stretch("boot", 0, 10)], 0.0),
        ([stretch("drill", 0, 4), stretch("load", 2, 6)], 0.4),
        ([stretch("drill", 0, 8), stretch("load", 2, 4)], 0.2),
        ([stretch("load", 6, 8), stretch("boot", 0, 2)], 0.6),
        ([stretch("measure", 0, 10)], 1.0),
    ],
)
def test_idle_share(activities: list[Activity], share: float) -> None:
    assert idle_share(activities, 10.0) == pytest.approx(share)
