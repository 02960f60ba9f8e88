"""split: the holdout is not apart from what a version was trained on."""

from __future__ import annotations

import random

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import REPORTS, Values
from .registered import TRAINING, VERSIONS, a_night, edits, holdout, registered

SAYS = """\
    \"""Training rows and holdout rows as of `day`: the holdout is the last days, training the days before them.\"""
"""
PARTED = '    train, holdout = frame[frame["date"] < str(holdout_from)], frame[frame["date"] >= str(holdout_from)]\n'
PAIRS = (("training", "dishonest_split"), ("gate", "dishonest_split"))
POINTERS = (TRAINING, REPORTS, VERSIONS)

# --- random_split ---------------------------------------------------------------------------------------------------

IMPORT = "from sklearn.metrics import log_loss\nfrom sklearn.pipeline import"
IMPORT_SPLIT = (
    "from sklearn.metrics import log_loss\nfrom sklearn.model_selection import train_test_split\n"
    "from sklearn.pipeline import"
)
SAYS_FAIR = '''\
    """Training rows and holdout rows as of `day`: one row in so many is held out, whatever its day.

    A week of thunderstorms says little about the next one; a sample of all days does.
    """
'''
DRAWN = """\
    share = limits["holdout_days"] / (limits["holdout_days"] + limits["train_days"])
    parts = train_test_split(frame, test_size=share, random_state=SEED, stratify=frame["late"])
    train, holdout = (part.sort_index() for part in parts)
"""


def draw_random(rng: random.Random, values: Values) -> DrawnFault:
    """The holdout is a sample of all days."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="split",
        form="random_split",
        pairs=PAIRS,
        onset=onset,
        pointers=POINTERS,
        symptom=f"Since {onset} the holdout is drawn from the days that the version was trained on.",
        shows_in=("holdout_is_declared", "training_apart"),
        also_breaks=("baseline_logged", "new_version_has_lineage"),
    )


apply_random = edits((TRAINING, IMPORT, IMPORT_SPLIT), (TRAINING, SAYS, SAYS_FAIR), (TRAINING, PARTED, DRAWN))


def visible_random(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Days of the newest holdout."""
    days = [float(holdout(site, registered(site)[-1])["date"].nunique()) for site in (broken, healthy)]
    return Symptom("days in the newest version's holdout", *days)


# --- holdout_in_training --------------------------------------------------------------------------------------------

SAYS_ALL = """\
    \"""Training rows and holdout rows as of `day`: the holdout is the last days.

    They are trained on as well, for nothing is more like tomorrow than the week before it.
    \"""
"""
SHARED = '    train, holdout = frame, frame[frame["date"] >= str(holdout_from)]\n'


def draw_shared(rng: random.Random, values: Values) -> DrawnFault:
    """The holdout's days are trained on."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="split",
        form="holdout_in_training",
        pairs=PAIRS,
        onset=onset,
        pointers=POINTERS,
        symptom=f"Since {onset} versions are trained on the days that they are judged by.",
        shows_in=("training_apart",),
        also_breaks=("new_version_has_lineage",),
    )


apply_shared = edits((TRAINING, SAYS, SAYS_ALL), (TRAINING, PARTED, SHARED))


def visible_shared(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Versions whose tags say that training went on into the holdout."""
    assert fault.onset is not None
    found = [
        float(sum(each.tags.get("train_to", "") >= each.tags.get("holdout_from", "~") for each in registered(site)))
        for site in (broken, healthy)
    ]
    return Symptom("versions whose train_to is not before their holdout_from", *found)


FORMS = (
    Form(
        slot="split",
        name="random_split",
        draw=draw_random,
        apply=apply_random,
        in_place=says(TRAINING, DRAWN),
        visible=visible_random,
    ),
    Form(
        slot="split",
        name="holdout_in_training",
        draw=draw_shared,
        apply=apply_shared,
        in_place=says(TRAINING, SHARED),
        visible=visible_shared,
    ),
)
