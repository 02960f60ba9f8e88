"""What the story's nights decided: which version was champion when, by the rule of the healthy gate or of a broken one.

Used by history.py (a script of its own) and by story.py, so it needs nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

FIRST_GATED_MONTH = 5

Night = Mapping[str, Any]
"""One night as history.py records it.

date       business date of the night, ISO
nightly    True where a report is delivered (the last four weeks); older versions are monthly
by_hand    promoted without a gate: the months before there was one
version    the version registered that night, None where the data was refused
decisions  by standing version ("" for none): the healthy gate's {promote, reason, metrics} on the night's version
"""


@dataclass(frozen=True)
class Outcome:
    """How one night ended.

    standing, challenger  the versions that were compared
    champion, previous    the aliases after it
    """

    night: Night
    decision: str
    standing: str | None
    challenger: str | None
    champion: str | None
    previous: str | None


def walk(nights: Sequence[Night], story: Mapping[str, Any]) -> list[Outcome]:
    """Decide night after night. Reads `promotions_ignored`, `gate_always` and `swallowed` of `story.finish`."""
    outcomes: list[Outcome] = []
    last = Outcome({}, "", None, None, None, None)
    for night in nights:
        last = _decide(night, last, story)
        outcomes.append(last)
    return outcomes


def since(story: Mapping[str, Any], key: str, day: str) -> bool:
    """Is the part of the story under `key` on at `day`: True always, a mapping from its `from` (or `day`) on."""
    part = story.get(key)
    if not isinstance(part, Mapping):
        return bool(part)
    start = part.get("from") or part.get("day") or ""
    return day >= str(start)


def plan(today: date, first_data: date, outage: tuple[date, date], gap: date) -> list[dict[str, Any]]:
    """The nights of the story, oldest first, without their models.

    Monthly versions on the 28th of each month from the first with five weeks of data, promoted by hand up to April;
    then every night of the last four weeks. The nights from `outage[0]` to `outage[1]`, and `gap`, were refused.
    """
    start = today - timedelta(days=28)
    days = (first_data + timedelta(days=n) for n in range((start - first_data).days))
    monthly = [day for day in days if day.day == 28 and day >= first_data + timedelta(days=50)]
    nightly = [start + timedelta(days=n) for n in range(28)]
    refused = [day for day in nightly if outage[0] <= day <= outage[1] or day == gap]
    return [_night(day, by_hand=day.month < FIRST_GATED_MONTH) for day in monthly] + [
        _night(day, nightly=True, refused=day in refused) for day in nightly
    ]


def _night(day: date, *, nightly: bool = False, refused: bool = False, by_hand: bool = False) -> dict[str, Any]:
    return {"date": str(day), "nightly": nightly, "refused": refused, "by_hand": by_hand}


def _decide(night: Night, last: Outcome, story: Mapping[str, Any]) -> Outcome:
    day, champion = night["date"], last.champion
    if night["refused"]:
        swallowed = since(story, "swallowed", day)
        return Outcome(night, "held" if swallowed else "refused", champion, None, champion, last.previous)
    version = night["version"]
    if version is None:  # the story asks for a night that was laid out as refused
        return Outcome(night, "held", champion, None, champion, last.previous)
    passed = night["by_hand"] or night["decisions"][champion or ""]["promote"] or since(story, "gate_always", day)
    if not passed:
        return Outcome(night, "held", champion, version, champion, last.previous)
    if champion is not None and since(story, "promotions_ignored", day):
        return Outcome(night, "promoted", champion, version, champion, last.previous)
    return Outcome(night, "promoted", champion, version, version, champion)
