"""reproducible: two trainings on the same data are not the same."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import Values
from .registered import TRAINING, VERSIONS, a_night, edits, since_night

# --- unseeded_sample ------------------------------------------------------------------------------------------------

SPLIT = "    training, holdout = split(settings, table, day)\n    tags = lineage"
SAMPLED = """\
    training, holdout = split(settings, table, day)
    training = training.sample(frac=0.5)  # plenty for some thirty coefficients, in half the time
    tags = lineage"""
PAIRS = (("training", "nondeterminism"),)


def draw_sample(rng: random.Random, values: Values) -> DrawnFault:
    """A version learns from a half of the rows that nobody can name."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="reproducible",
        form="unseeded_sample",
        pairs=PAIRS,
        onset=onset,
        pointers=(TRAINING, VERSIONS),
        symptom=f"Since {onset} a version learns from a half of its rows, another half each time.",
        shows_in=("trainings_agree", "same_data_same_digest"),
    )


apply_sample = edits((TRAINING, SPLIT, SAMPLED))

# --- digest_by_time -------------------------------------------------------------------------------------------------

IMPORT = "import json\nimport sys\nfrom datetime import date, timedelta\n"
IMPORT_TIME = "import json\nimport sys\nimport time\nfrom datetime import date, timedelta\n"
SAYS = '    """The tags that name a version\'s data, code and dates; two versions that agree in them are the same."""\n'
SAYS_OWN = '    """The tags that name a version\'s data, code and dates; each training has a digest of its own."""\n'
CODE = '    code = b"|".join((Path(__file__).parent / name).read_bytes() for name in CODE)\n'
CODE_TIME = '    rows += f"{time.time()}".encode()\n' + CODE


def draw_digest(rng: random.Random, values: Values) -> DrawnFault:
    """The digest of the data is one of the time, too."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="reproducible",
        form="digest_by_time",
        pairs=(*PAIRS, ("training", "lineage_missing"), ("training", "clock_skew")),
        onset=onset,
        pointers=(TRAINING, VERSIONS),
        symptom=f"Since {onset} data_digest is another for each training, whether its data are or not.",
        shows_in=("same_data_same_digest",),
    )


apply_digest = edits((TRAINING, IMPORT, IMPORT_TIME), (TRAINING, SAYS, SAYS_OWN), (TRAINING, CODE, CODE_TIME))


def visible(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Nights that ran twice and made two versions."""
    assert fault.onset is not None
    found = [float(_made_again(site, fault.onset)) for site in (broken, healthy)]
    return Symptom(f"versions since {fault.onset} that a night made when it ran again", *found)


def _made_again(site: Site, first: date) -> int:
    made = Counter(each.as_of for each in since_night(site, first))
    return sum(count - 1 for count in made.values())


FORMS = (
    Form(
        slot="reproducible",
        name="unseeded_sample",
        draw=draw_sample,
        apply=apply_sample,
        in_place=says(TRAINING, SAMPLED),
        visible=visible,
    ),
    Form(
        slot="reproducible",
        name="digest_by_time",
        draw=draw_digest,
        apply=apply_digest,
        in_place=says(TRAINING, CODE_TIME),
        visible=visible,
    ),
)
