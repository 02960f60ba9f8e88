"""Who earned what, as people are told it: each range where points are withheld, each loss, and each fault's fate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model import CheckScore, ClaimScore, DrawnFault, Outcome, RunRecord, Score, Skill

UNSEEN = ("not up", "not reached")
"""What bench.py writes as measured where it could not look at all: such a check says nothing of its fault."""


@dataclass(frozen=True)
class Range:
    """Points that are sure, those that there may be where some are withheld, and all that can be had."""

    low: float
    high: float
    possible: float


@dataclass(frozen=True)
class SkillPoints:
    """The points of a skill. `examined` is False where too little is at stake to say anything of it."""

    skill: Skill
    points: Range
    examined: bool


@dataclass(frozen=True)
class Lost:
    """One sentence on points that were lost or withheld. `points` is negative, or 0 where they are only withheld."""

    item: CheckScore
    points: float
    withheld: float


@dataclass(frozen=True)
class Broken:
    """A drawn fault, and how the candidate fared with it."""

    fault: DrawnFault
    points: Range
    state: str
    diagnosed: str


def skills(score: Score) -> list[SkillPoints]:
    """The points of each skill, in the record's order. Withheld points are none that were lost."""
    found = []
    for item in score.skills:
        mine = [check for check in score.checks if check.spec.skill is item.skill]
        withheld = math.fsum(check.withheld for check in mine)
        # A skill's points are not below 0, and what is withheld may first have to make up for what safeguards cost.
        debt = min(0.0, math.fsum(check.earned for check in mine)) if item.earned == 0 else 0.0
        high = round(max(item.earned, item.earned + debt + withheld), 6)
        found.append(SkillPoints(item.skill, Range(item.earned, high, item.possible), item.examined))
    return found


def said(score: Score) -> tuple[Range, Range]:
    """What the claims came to, with their floor of 0, and what the facts did."""
    told = math.fsum(item.possible for item in score.skills if item.skill is Skill.COMMUNICATION)
    told -= math.fsum(item.possible for item in score.checks if item.spec.skill is Skill.COMMUNICATION)
    possible = math.fsum(fact.possible for fact in score.facts)
    claims = round(max(0.0, math.fsum(claim.points for claim in score.claims)), 6)
    facts = round(math.fsum(fact.points for fact in score.facts), 6)
    return Range(claims, claims, round(told - possible, 6)), Range(facts, facts, round(possible, 6))


def lost(score: Score) -> list[Lost]:
    """Checks that lost points or have some withheld, those that lost most first."""
    found = []
    for item in score.checks:
        points = round(item.earned + item.withheld - item.possible, 6)
        if points < 0 or item.withheld > 0:
            found.append(Lost(item, points, item.withheld))
    return sorted(found, key=lambda entry: (entry.points, -entry.withheld))


def broken(record: RunRecord) -> list[Broken]:
    """The variant's faults, each with the points of its slot, whether it is gone, and what the diagnosis said of it."""
    found = []
    for fault in record.variant.faults:
        mine = [item for item in record.score.checks if item.spec.slot == fault.slot and not item.safeguard]
        earned, withheld = math.fsum(item.earned for item in mine), math.fsum(item.withheld for item in mine)
        found.append(
            Broken(
                fault=fault,
                points=Range(earned, earned + withheld, math.fsum(item.possible for item in mine)),
                state=_state(fault, record.score),
                diagnosed=_diagnosed(fault, record.score.claims),
            )
        )
    return found


def _state(fault: DrawnFault, score: Score) -> str:
    """repaired, still there, or unclear where a check that would show it was not decided or lacks what it needs."""
    showing = [item for item in score.checks if item.spec.id in fault.shows_in]
    failed = [item for item in showing if item.result.outcome is Outcome.FAIL]
    if any(item.result.measured not in UNSEEN for item in failed):
        return "still there"
    return "repaired" if all(item.earned == item.possible for item in showing) else "unclear"


def _diagnosed(fault: DrawnFault, claims: Sequence[ClaimScore]) -> str:
    """The claim that counts for a fault; "" where none does."""
    claim = next((claim for claim in claims if claim.fault == fault.id and claim.component), None)
    if claim is None:
        return ""
    right = (claim.component, claim.kind) in fault.pairs
    return f"{claim.component} / {claim.kind}" + ("" if right else " (only the component is right)")
