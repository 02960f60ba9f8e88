"""serving: the model is asked with other inputs than those that it was trained on and that the answer echoes."""

from __future__ import annotations

import random

import pandas as pd

from harness.model import DrawnFault, Form, Site, Symptom

from .common import FEATURES, LOG, Values, says
from .registered import ANSWERS, a_night, edits, log

MOVED = 0.02
"""Of p_late: more than a correction of a distance or a version of the day before changes."""

# --- codes_refitted -------------------------------------------------------------------------------------------------

FORECASTS = "def forecasts(settings: Settings, wanted:"
SPELLED = '''\
def spelled(frame: pd.DataFrame, known: Known) -> pd.DataFrame:
    """Categories as the table spells them, so that no code reaches the model that it has never seen."""
    for name in CATEGORIES:
        words, codes = sorted(known.rates[name]), pd.factorize(frame[name])[0]
        if words:
            frame[name] = [words[code % len(words)] for code in codes]
    return frame


'''
IMPORT = "from delays.features import Known, departure, model_frame, model_row\n"
IMPORT_SPELLED = "from delays.features import Known, departure, model_frame, model_row, spelled\n"
RISKS = "    risks = model.risks(model_frame(inputs)) if inputs else ()\n"
RISKS_SPELLED = "    risks = model.risks(spelled(model_frame(inputs), known)) if inputs else ()\n"


def draw_codes(rng: random.Random, values: Values) -> DrawnFault:
    """Carriers and origins are numbered anew in each request."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="serving",
        form="codes_refitted",
        pairs=(("request handling", "encoding_skew"), ("feature store", "encoding_skew")),
        onset=onset,
        pointers=(FEATURES, ANSWERS, LOG),
        symptom=f"Since {onset} carriers and origins are numbered as they come in a request, and named by the table.",
        shows_in=("served_as_trained", "single_equals_batch", "edge_rows_agree"),
        also_breaks=("trained_quality", "reported_metric_holds", "answer_resolves"),
    )


apply_codes = edits(
    (FEATURES, FORECASTS, SPELLED + FORECASTS), (ANSWERS, IMPORT, IMPORT_SPELLED), (ANSWERS, RISKS, RISKS_SPELLED)
)

# --- own_filling ----------------------------------------------------------------------------------------------------

SAYS = '    """Rows as the model takes them: INPUTS in order, strings and doubles."""\n'
SAYS_FILLED = '    """Rows as the model takes them: INPUTS in order, strings and doubles, without gaps."""\n'
DOUBLES = "    doubles = {name: np.array(values[name], dtype=float) for name in INPUTS if name not in CATEGORIES}\n"
FILLED = """\
    numbers = [name for name in INPUTS if name not in CATEGORIES]
    doubles = {name: np.nan_to_num(np.array(values[name], dtype=float)) for name in numbers}
"""


def draw_filling(rng: random.Random, values: Values) -> DrawnFault:
    """What is missing is 0 to the model, when it is asked."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="serving",
        form="own_filling",
        pairs=(
            ("request handling", "null_or_sentinel"),
            ("feature store", "null_or_sentinel"),
            ("request handling", "encoding_skew"),
        ),
        onset=onset,
        pointers=(FEATURES, LOG),
        symptom=f"Since {onset} serving gives the model 0 for what is missing, a pressure of 0 mb among it.",
        shows_in=("served_as_trained", "edge_rows_agree"),
        also_breaks=("trained_quality", "reported_metric_holds"),
    )


apply_filling = edits((FEATURES, SAYS, SAYS_FILLED), (FEATURES, DOUBLES, FILLED))


def visible(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Answers that are not what the same version says to the same question."""
    assert fault.onset is not None
    now, right = (log(site, fault.onset) for site in (broken, healthy))
    return Symptom(
        f"share of answers since {fault.onset} that differ by {MOVED} from the version's own",
        moved(now, right),
        moved(right, right),
    )


def moved(now: pd.DataFrame, right: pd.DataFrame) -> float:
    """Share of the answers that both logs have from one version whose risks differ by more than MOVED."""
    both = now.merge(right, on=["row_id", "model_version"], suffixes=("", "_right"))
    return float(((both["p_late"].astype(float) - both["p_late_right"].astype(float)).abs() > MOVED).mean())


FORMS = (
    Form(
        slot="serving",
        name="codes_refitted",
        draw=draw_codes,
        apply=apply_codes,
        in_place=says(ANSWERS, RISKS_SPELLED),
        visible=visible,
    ),
    Form(
        slot="serving",
        name="own_filling",
        draw=draw_filling,
        apply=apply_filling,
        in_place=says(FEATURES, FILLED),
        visible=visible,
    ),
)
