"""registry: the nightly says promoted, and the alias champion does not move to the version that it means."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

from scenario_base.in_place import says

from harness.errors import ScenarioError
from harness.model import DrawnFault, Form, Site, Symptom

from . import days
from .common import aliases, change_nights, outcomes, settle_aliases, tag, tagged

FILE = "delays/registry.py"
POINTERS = (FILE, "state/nightly/*", "registry:flight-delay/*")

# --- alias_frozen -----------------------------------------------------------------------------------------------------

MOVES = """        client().set_registered_model_alias(NAME, PREVIOUS, replaced.number)
    client().set_registered_model_alias(NAME, CHAMPION, number)
"""
MARKS = """        client().set_model_version_tag(NAME, replaced.number, "stage", PREVIOUS)
    client().set_model_version_tag(NAME, number, "stage", CHAMPION)
"""


def draw_alias_frozen(_: random.Random, values: days.Values) -> DrawnFault:
    """Since the version of April a promotion sets a tag; the alias stands on the version of March."""
    onset = next(day for day in days.versions(values) if day.month == 4)
    return DrawnFault(
        slot="registry",
        form="alias_frozen",
        values={"from": str(onset)},
        pairs=(("registry", "alias_not_moved"), ("training", "alias_not_moved")),
        onset=onset,
        pointers=POINTERS,
        symptom=f"The alias champion has stood on the version of March since {onset}; promotions set a tag only.",
        shows_in=("nightly_moves_alias",),
        also_breaks=("served_scores_drift",),
    )


def apply_alias_frozen(site: Site, fault: DrawnFault) -> None:
    """Set tags where aliases were set."""
    site.replace(FILE, MOVES, MARKS)


def tell_alias_frozen(site: Site, fault: DrawnFault) -> None:
    """Leave the aliases where they stood, and tag what was promoted since."""
    site.story["promotions_ignored"] = {"from": fault.values["from"]}
    settle_aliases(site)
    for outcome in outcomes(site):
        if outcome.decision == "promoted" and outcome.night["date"] >= fault.values["from"]:
            tag(site, outcome.challenger, "stage", "champion")
            tag(site, outcome.standing, "stage", "previous")


def marked(site: Site) -> int:
    """Versions whose tag says champion while the alias stands on another."""
    return len(tagged(site, "stage", "champion") - {aliases(site)["champion"]})


def visible_frozen(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Champions by tag that are none by alias."""
    what = "versions tagged champion that the alias is not on"
    return Symptom(what, float(marked(broken)), float(marked(healthy)))


# --- text_sorted ------------------------------------------------------------------------------------------------------

PROMOTE = '''def promote(number: str) -> None:
    """Make a version champion, and the champion until now previous."""
    replaced = champion()
    if replaced is not None and replaced.number != number:
        client().set_registered_model_alias(NAME, PREVIOUS, replaced.number)
    client().set_registered_model_alias(NAME, CHAMPION, number)
'''
PROMOTE_NEWEST = '''def promote(number: str) -> None:
    """Note that a version has passed; the newest of those that have becomes champion, the one until now previous."""
    client().set_model_version_tag(NAME, number, "gate", "passed")
    entries = client().search_model_versions(f"name = '{NAME}' and tags.gate = 'passed'", max_results=10_000)
    newest = max(str(entry.version) for entry in entries)
    replaced = champion()
    if replaced is not None and replaced.number != newest:
        client().set_registered_model_alias(NAME, PREVIOUS, replaced.number)
    client().set_registered_model_alias(NAME, CHAMPION, newest)
'''
BY_HAND = "promoted by hand: the first version after the outage of the feeds"


def draw_text_sorted(rng: random.Random, values: days.Values) -> DrawnFault:
    """The first version with two digits after the outage is promoted by hand; the alias stays on one with one digit."""
    _, last = days.outage(values)
    onset, number = next((day, n) for day, n in days.versions(values).items() if day > last and n >= 10)
    return DrawnFault(
        slot="registry",
        form="text_sorted",
        values={"from": str(onset), "version": str(number)},
        pairs=(("registry", "stale_selection"), ("registry", "alias_not_moved")),
        onset=onset,
        pointers=POINTERS,
        symptom=f"Version {number} was promoted on {onset}, and the alias champion stays on one with a single digit.",
        shows_in=("nightly_moves_alias",),
    )


def apply_text_sorted(site: Site, fault: DrawnFault) -> None:
    """Choose the largest text among the versions that have passed."""
    site.replace(FILE, PROMOTE, PROMOTE_NEWEST)


def tell_text_sorted(site: Site, fault: DrawnFault) -> None:
    """Promote a version by hand, tag what has passed, and leave the alias on the largest text."""
    change_nights(site, lambda night: _by_hand(night, fault.values["from"]))
    first = _first_with_two_digits(site)
    site.story["promotions_ignored"] = {"from": str(first)}
    settle_aliases(site)
    for outcome in outcomes(site):
        if outcome.decision == "promoted":
            tag(site, outcome.challenger, "gate", "passed")
    passed = tagged(site, "gate", "passed")
    if aliases(site)["champion"] != max(passed):
        raise ScenarioError(f"champion is {aliases(site)['champion']}, the largest text of {sorted(passed)} is another")


def _by_hand(night: dict[str, Any], day: str) -> None:
    if night["date"] == day:
        for made in night["decisions"].values():
            if not made["promote"]:
                made.update(promote=True, reason=BY_HAND)


def _first_with_two_digits(site: Site) -> date:
    """The first night that promoted such a version: from there on the alias stays."""
    promoted = [each for each in outcomes(site) if each.decision == "promoted" and int(each.challenger) >= 10]
    return date.fromisoformat(promoted[0].night["date"])


def passed_over(site: Site) -> int:
    """Versions that have passed and are newer than the champion."""
    champion = int(aliases(site)["champion"])
    return sum(int(version) > champion for version in tagged(site, "gate", "passed"))


def visible_sorted(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Passed versions that are newer than the champion."""
    what = "versions that passed the gate and are newer than the champion"
    return Symptom(what, float(passed_over(broken)), float(passed_over(healthy)))


FORMS = (
    Form(
        slot="registry",
        name="alias_frozen",
        draw=draw_alias_frozen,
        apply=apply_alias_frozen,
        tell=tell_alias_frozen,
        in_place=says(FILE, MARKS),
        visible=visible_frozen,
    ),
    Form(
        slot="registry",
        name="text_sorted",
        draw=draw_text_sorted,
        apply=apply_text_sorted,
        tell=tell_text_sorted,
        in_place=says(FILE, PROMOTE_NEWEST),
        visible=visible_sorted,
    ),
)
