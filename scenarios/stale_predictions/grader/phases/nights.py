"""Nights: one that must promote, the gate, feeds that do not come, the same night twice, and one of other code."""

from __future__ import annotations

from datetime import timedelta

from scenario_base.drills import code, gate, lineage
from scenario_base.drills.nights import run as run_night

from harness.model import Stack

from ..drills import nightly, versions
from ..drills.nightly import Nights
from ..drills.run import Run

LINEAGE = "new_version_has_lineage"
KEPT = "previous_kept"
REGISTRY = ("nightly_moves_alias", "nightly_champion_served")
NIGHT = (*REGISTRY, LINEAGE, KEPT)
GATE = ("worse_held_back", "constant_held_back", "equal_held_back", "better_promoted")
MISSING = ("missing_source_said", "missing_source_recovers", "second_run_same")

CHALLENGED: tuple[tuple[str, tuple[tuple[str, str], ...], bool], ...] = (
    ("worse_held_back", (("good", "winter"), ("constant", "winter")), False),
    ("constant_held_back", (("good", "constant"),), False),
    ("equal_held_back", (("good", "good_again"), ("behind", "good")), False),
    ("better_promoted", (("winter", "good"),), True),
)
"""By check: champions with their challengers, and whether these are promoted. `winter` tells flights apart, which
`constant` does not, and has the higher log loss all the same; `good` gains half of the margin on `behind`."""

NOT_CODE = ("feeds", "features", "monitoring", "state", "var")
"""Folders that hold no code of the workspace's (BRIEF.md)."""


def night(run: Run) -> None:
    """Nights that must promote, then challengers at the gate of the same night."""
    pair, bench = run.pair, run.bench
    pair.register(("alpha", "good", "good_again", "winter", "constant", "behind", "fitted"))
    pair.advance(bench.variant.business_date + timedelta(days=1))
    nights = Nights(pair)
    if bench.wants(*NIGHT):
        night_that_promotes(run, nights)
    gates(run, nights)
    for stack in pair.stacks:
        run.made[stack.name] = [made for each in nights.that_trained(stack) for made in versions.made_in(each)]


def night_that_promotes(run: Run, nights: Nights) -> None:
    """One night, looked at by the checks of registry and lineage."""
    pair, bench = run.pair, run.bench
    wanted = [check for check in NIGHT if bench.wants(check)]
    with bench.guard(*wanted), bench.activity("a night that must promote", "drill"):
        if bench.wants(*REGISTRY):
            bench.check("nightly_moves_alias", nightly.moves_alias(pair, nights))
            pair.alias_moves = not nights.unmoved(pair.candidate)
            bench.check("nightly_champion_served", nightly.champion_served(pair, nights))
        mine = nights.of(pair.candidate)
        if bench.wants(LINEAGE):
            first = versions.first(pair, nights)
            if not first(pair.candidate).ok:
                bench.check(LINEAGE, first)  # else it is compared with those of other nights
            nights.ordinary(pair.candidate)
        if bench.wants(KEPT):
            kept = lineage.Kept.of(pair.history, {version.version: version.created for version in mine.known})
            replaced = {stack.name: pair.version(stack, "winter") for stack in pair.stacks}
            bench.check(KEPT, lineage.previous_kept(pair, kept, replaced))


def gates(run: Run, nights: Nights) -> None:
    """Worse, constant and equal challengers are held back, a better one is promoted; what a night trained is no other.

    The same gate decides on nights without --challenger, both ways.
    """
    pair, bench = run.pair, run.bench
    for check, pairs, promoted in CHALLENGED:
        if bench.wants(check):
            probes = [gate.challenge(pair, f"{check}/{one}", one, other, promoted) for one, other in pairs]
            trained = {"worse_held_back": nightly.ordinary_held, "better_promoted": nightly.trained_promoted}
            if check in trained:
                probes.append(trained[check](pair, nights))
            with bench.activity(f"gate: {check}", "drill"):
                bench.check(check, nightly.each(probes))


def missing_feed(run: Run) -> None:
    """The day after: feeds do not come, come with a header only or without a column, come; the night runs twice."""
    pair, bench = run.pair, run.bench
    pair.register(("good",))
    pair.advance(bench.variant.business_date + timedelta(days=2), without_arrivals=True)
    if bench.wants(*MISSING):
        bench.check("missing_source_said", nightly.missing_source(pair))
    with bench.guard(*(check for check in ("missing_source_recovers", LINEAGE) if bench.wants(check))):
        found = nightly.delivered(pair)
        if bench.wants(*MISSING):
            nightly.recovers(pair, found)
        for stack in pair.stacks:
            run.made.setdefault(stack.name, []).extend(versions.made_in(found.of(stack)))
    if bench.wants(*MISSING):
        bench.check("second_run_same", nightly.second_run(pair))


def other_code(run: Run) -> None:
    """The day after that: a line of the code is another one, which changes nothing it does. Versions must say so."""
    pair, bench = run.pair, run.bench
    pair.advance(bench.variant.business_date + timedelta(days=3))

    def step(stack: Stack) -> list[versions.Made]:
        recoded = code.add_line(stack, NOT_CODE) > 0
        pair.registry[stack.name].set_alias("champion", pair.version(stack, "good"))
        return versions.made_in(run_night(pair, stack), recoded)

    found = pair.both(step)
    for stack, made in ((pair.candidate, found.candidate), (pair.reference, found.reference)):
        run.made.setdefault(stack.name, []).extend(made)
    bench.check(LINEAGE, versions.tell_apart(run.made, pair.today))
