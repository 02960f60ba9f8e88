"""Days of the story on which faults begin, from the story's values alone.

Windows before the business date D, so that one fault's evidence does not cover another's:

    D-23 … D-16   the outage: five refused nights
    D-18 … D-14   the first version with two digits after it (registry)
    D-15, D-14    the rollback of a day, or the first answers kept over night (cache)
    D-13 … D-10   the single refused night (nightly)
    D-9 … D-5     everything else; the label of the log last, D-4 … D-2
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from scenario_base import flights

from .. import nights

LOGGED_DAYS = 28
VALID_DAYS = 3

Values = Mapping[str, Any]


def today(values: Values) -> date:
    """The business date."""
    return date.fromisoformat(values["business_date"])


def before(values: Values, days: int) -> date:
    """The day that many days before the business date."""
    return today(values) - timedelta(days=days)


def a_day(rng: random.Random, values: Values, first: int, last: int) -> date:
    """A day from D-first to D-last."""
    return before(values, rng.randint(last, first))


def outage(values: Values) -> tuple[date, date]:
    """First and last of the five refused nights."""
    first, last = (date.fromisoformat(day) for day in values["outage"])
    return first, last


def gap(values: Values) -> date:
    """The single refused night."""
    return date.fromisoformat(values["gap"])


def versions(values: Values) -> dict[date, int]:
    """The night of each version of the healthy story, oldest first, and the version's number."""
    planned = nights.plan(today(values), flights.first_day(values), outage(values), gap(values))
    made = [date.fromisoformat(night["date"]) for night in planned if not night["refused"]]
    return {day: number for number, day in enumerate(made, 1)}


def missing(values: Values, day: date) -> set[date]:
    """Partitions of refused nights as seen on a day; the next good night makes up for them."""
    first, last = outage(values)
    if first <= day <= last:
        return {first + timedelta(days=n - 1) for n in range((day - first).days + 1)}
    return {day - timedelta(days=1)} if day == gap(values) else set()


def valid(values: Values, day: date) -> list[date]:
    """The partitions that are valid on a day, newest first."""
    gone = missing(values, day)
    dated = [day - timedelta(days=n) for n in range(1, VALID_DAYS + 1)]
    return [each for each in dated if each not in gone]


def logged(values: Values) -> list[date]:
    """The days of the log, oldest first."""
    return [before(values, n) for n in range(LOGGED_DAYS, 0, -1)]
