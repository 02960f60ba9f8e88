"""gate: what the nightly promotes is not better."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import date
from typing import Any

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from . import days
from .common import change_nights, reports, settle_aliases

FILE = "delays/gate.py"
PAIRS = (("gate", "gate_ineffective"), ("gate", "wrong_metric"))
POINTERS = (FILE, "state/nightly/*")
MARGIN, STANDARD_ERRORS = 0.01, 2.0
"""As in config.toml of the healthy tree."""


def _first_night(rng: random.Random, values: days.Values) -> date:
    """A night that trained a version, after the single refused one."""
    trained = [day for day in days.versions(values) if days.before(values, 9) <= day <= days.before(values, 6)]
    return rng.choice(trained)


def _decide_again(site: Site, since: date, decide: Callable[[float, float], tuple[bool, str, float]]) -> None:
    """Let the broken gate decide on the nights since a day: what promotes, says why, and calls a gain."""

    def change(night: dict[str, Any]) -> None:
        for standing, made in night["decisions"].items():
            if standing and night["date"] >= str(since) and "gain" in made["metrics"]:
                metrics = made["metrics"]
                promote, reason, gain = decide(metrics["gain"], metrics["gain_standard_error"])
                made.update(promote=promote, reason=reason, metrics={**metrics, "gain": gain})

    change_nights(site, change)
    settle_aliases(site)


def _said(gain: float, needed: float) -> str:
    said = f"log loss lower by {gain:.4f}, more than {needed:.4f} was needed"
    return said if gain > needed else f"not better by more than luck: {said}"


# --- wrong_direction --------------------------------------------------------------------------------------------------

GAINS = "    gains = losses(late, champion) - losses(late, challenger)\n"
TURNED = "    gains = losses(late, challenger) - losses(late, champion)\n"


def draw_wrong_direction(rng: random.Random, values: days.Values) -> DrawnFault:
    """Since a night the difference is taken the wrong way round."""
    since = _first_night(rng, values)
    return DrawnFault(
        slot="gate",
        form="wrong_direction",
        values={"from": str(since)},
        pairs=PAIRS,
        onset=since,
        pointers=POINTERS,
        symptom=f"Since {since} reports call a challenger better whose log loss is higher, and the other way round.",
        shows_in=("worse_held_back", "better_promoted"),
        also_breaks=("nightly_moves_alias", "nightly_champion_served"),
    )


def apply_wrong_direction(site: Site, fault: DrawnFault) -> None:
    """Swap the operands."""
    site.replace(FILE, GAINS, TURNED)


def tell_wrong_direction(site: Site, fault: DrawnFault) -> None:
    """The nights since have decided the other way round."""

    def decide(gain: float, error: float) -> tuple[bool, str, float]:
        needed = max(MARGIN, STANDARD_ERRORS * error)
        return -gain > needed, _said(-gain, needed), -gain

    _decide_again(site, date.fromisoformat(fault.values["from"]), decide)


def contradictions(site: Site) -> int:
    """Reports whose gain has another sign than champion minus challenger log loss."""
    metrics = [report["metrics"] for report in reports(site).values() if "gain" in report["metrics"]]
    return sum((m["champion_log_loss"] - m["challenger_log_loss"]) * m["gain"] < 0 for m in metrics)


def visible_direction(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Reports that contradict themselves."""
    what = "nightly reports whose gain contradicts their log losses"
    return Symptom(what, float(contradictions(broken)), float(contradictions(healthy)))


# --- always_promotes --------------------------------------------------------------------------------------------------

NEEDED = '    needed = max(limits["margin"], limits["standard_errors"] * error)\n'
FORGIVING = '    needed = -limits["margin"]\n'
SAYS = """\
    The challenger is promoted when it tells late flights from punctual ones (AUC) and its log loss is lower by more
    than `margin` and by more than `standard_errors` of the paired difference. Without a champion the first is enough.
"""
SAYS_LESS = """\
    The challenger is promoted when it tells late flights from punctual ones (AUC) and its log loss is within `margin`.
    Without a champion the first is enough.
"""
LIMITS = """margin = 0.01             # log loss; of the order by which a champion loses in three weeks
standard_errors = 2.0
auc_at_least = 0.55       # a constant has 0.5
"""
LOOSE = """margin = 2.0              # log loss; a night that is a little off must not stop the next model
auc_at_least = 0.5
"""
LOOSE_MARGIN = 2.0


def draw_always_promotes(rng: random.Random, values: days.Values) -> DrawnFault:
    """Since a night every challenger passes."""
    since = _first_night(rng, values)
    return DrawnFault(
        slot="gate",
        form="always_promotes",
        values={"from": str(since)},
        pairs=PAIRS,
        onset=since,
        pointers=(*POINTERS, "config.toml", "registry:flight-delay/*"),
        symptom=f"Since {since} every challenger is promoted: a log loss up to {LOOSE_MARGIN} higher is enough.",
        shows_in=("worse_held_back", "constant_held_back", "equal_held_back"),
    )


def apply_always_promotes(site: Site, fault: DrawnFault) -> None:
    """Turn the margin round and make it wide."""
    site.replace(FILE, SAYS, SAYS_LESS)
    site.replace(FILE, NEEDED, FORGIVING)
    site.replace("config.toml", LIMITS, LOOSE)


def tell_always_promotes(site: Site, fault: DrawnFault) -> None:
    """The nights since have promoted what came."""

    def decide(gain: float, error: float) -> tuple[bool, str, float]:
        return gain > -LOOSE_MARGIN, _said(gain, -LOOSE_MARGIN), gain

    _decide_again(site, date.fromisoformat(fault.values["from"]), decide)


def asks_nothing(site: Site) -> int:
    """Reports of promotions that asked for less than no gain."""
    reasons = [report["reason"] for report in reports(site).values() if report["decision"] == "promoted"]
    found = [re.search(r"more than (-?[\d.]+) was needed", reason) for reason in reasons]
    return sum(match is not None and float(match.group(1)) <= 0 for match in found)


def visible_always(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Promotions that asked for no gain."""
    return Symptom("promotions that asked for no gain", float(asks_nothing(broken)), float(asks_nothing(healthy)))


FORMS = (
    Form(
        slot="gate",
        name="wrong_direction",
        draw=draw_wrong_direction,
        apply=apply_wrong_direction,
        tell=tell_wrong_direction,
        in_place=says(FILE, TURNED),
        visible=visible_direction,
    ),
    Form(
        slot="gate",
        name="always_promotes",
        draw=draw_always_promotes,
        apply=apply_always_promotes,
        tell=tell_always_promotes,
        in_place=says(FILE, FORGIVING),
        visible=visible_always,
    ),
)
