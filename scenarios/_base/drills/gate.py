"""Drills of the gate: challengers that are clearly worse, clearly better, or the same for every flight."""

from __future__ import annotations

from collections.abc import Callable

from harness.model import Finding, Stack

from .nights import DONE, Night, not_ended, run
from .pair import Pair


def challenge(
    pair: Pair,
    check: str,
    champion: str,
    challenger: str,
    promoted: bool,
    keep: Callable[[Stack, Night], None] = lambda stack, night: None,
) -> Callable[[Stack], Finding]:
    """Put a role's version to the gate against another role's; report and alias must both say what is right.

    Where the nightly was seen not to move the alias though it says so (another check's), the report alone decides
    about a promotion. `keep` is given each night.
    """

    def probe(stack: Stack) -> Finding:
        standing, new = pair.version(stack, champion), pair.version(stack, challenger)
        for alias, version in (("previous", new), ("champion", standing)):  # so that any move of either is seen
            pair.registry[stack.name].set_alias(alias, version)
        night = run(pair, stack, "--challenger", new)
        keep(stack, night)
        saved = (pair.bench.save(f"{check}/{challenger}-{stack.name}.json", night.evidence()),)
        moves = pair.alias_moves or stack is pair.reference
        wrong = _wrong(night, new, promoted, moves)
        said = str(night.report.get("decision", "no report"))[:20]
        if wrong:
            return Finding(False, f"{challenger} against {champion}: {wrong}.", said, saved)
        return Finding(True, f"{challenger} against {champion} was {said}.", said, saved)

    return probe


def _wrong(night: Night, challenger: str, promoted: bool, moves: bool) -> str:
    ended = not_ended(night.result, DONE)
    if ended:
        return ended
    if str(night.report.get("challenger")) != challenger:
        return f"state/nightly/{night.day}.json does not report challenger {challenger}"
    right = "promoted" if promoted else "held"
    if night.report.get("decision") != right:
        return f"the decision is {str(night.report.get('decision'))[:20]!r}, not {right!r}"
    champion = challenger if promoted else night.before.champion
    if night.after.champion != champion and (moves or not promoted):
        return f"champion is {night.after.champion}, not {champion}"
    if not promoted and night.after.previous != night.before.previous:
        return f"previous moved from {night.before.previous} to {night.after.previous} though nothing was promoted"
    return ""
