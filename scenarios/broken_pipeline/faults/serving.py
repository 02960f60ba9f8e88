"""serving: the model is asked with other inputs than those that it was trained on and that the answer echoes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .. import deliveries
from .common import FEATURES, LOG, Values
from .registered import ANSWERS, a_night, edits
from .weather import forecasts, left_over

USUAL_OF = {"C": (1.8, 32.0), "m/s": (1 / 0.44704, 0.0), "km": (1 / 1.609344, 0.0), "mm": (1 / 25.4, 0.0)}
"""Factor and what is added after it, from the units that a source may have to those that most have."""

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


def visible_codes(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """How far a day's answers are from what is linear in carrier, origin and the rest; see `weather.left_over`."""
    return _by_day(broken, healthy, fault, left_over, "what carrier, origin and forecast leave unexplained of a day's")


def visible_filling(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """How far a day's answers without some weather are from what those with all of it say of usual weather."""
    return _by_day(
        broken, healthy, fault, gaps_left_over, "what usual weather leaves unexplained, where some is missing, of"
    )


def _by_day(
    broken: Site, healthy: Site, fault: DrawnFault, measure: Callable[[Site, str], float], what: str
) -> Symptom:
    days = sorted(path.stem for path in (healthy.workspace / "state" / "predictions").glob("*.csv"))
    clean = [measure(healthy, day) for day in days]
    now = [measure(broken, day) for day in days if day >= str(fault.onset)]
    return Symptom(f"{what} answers, in log odds", float(np.median(now)), float(np.percentile(clean, 99)))


def gaps_left_over(site: Site, day: str) -> float:
    """Median, over a day's answers that lack some weather, of how far they are from a linear fit of the others.

    What is missing counts as the day's mean; a carrier or weather that none of the others has is left out.
    """
    path = site.workspace / "state" / "predictions" / f"{day}.csv"
    log = pd.read_csv(path, keep_default_na=False, na_values=[""]).dropna(subset=["distance_mi"])
    rows = log[log["supersedes"].isna()].drop_duplicates(["carrier", "flight", "origin", "sched_dep"])
    rows = rows.assign(hour=rows["sched_dep"].str[11:13].astype(int), date=rows["sched_dep"].str[:10])
    rows = rows.merge(in_usual_units(site, rows["date"].unique()), how="left", on=["date", "origin", "hour"])
    numbers = rows[["hour", "distance_mi", *deliveries.NAMES]].astype(float)
    numbers = (numbers - numbers.mean()) / numbers.std().replace(0.0, 1.0)
    whole = numbers.notna().all(axis=1)
    inputs = np.column_stack([pd.get_dummies(rows[["carrier", "origin"]], dtype=float), numbers.fillna(0.0)])
    risk = rows["p_late"].to_numpy(dtype=float)
    odds = np.log(risk / (1 - risk))
    found = np.linalg.lstsq(inputs[whole], odds[whole], rcond=None)[0]
    usual = numbers.isna() | ((numbers >= numbers[whole].min()) & (numbers <= numbers[whole].max()))
    judged = ~whole & usual.all(axis=1) & rows["carrier"].isin(rows["carrier"][whole])
    return float(np.median(np.abs(odds - inputs @ found)[judged])) if judged.any() else 0.0


def in_usual_units(site: Site, days: Iterable[str]) -> pd.DataFrame:
    """What the provider said of some days (see `weather.forecasts`), in the units that most sources use."""
    said = forecasts(site, days)
    for column in deliveries.NAMES:
        unit = [_unit(site, day, origin, column) for day, origin in zip(said["date"], said["origin"], strict=True)]
        factor, shift = np.array([USUAL_OF.get(each, (1.0, 0.0)) for each in unit]).T
        said[column] = said[column].astype(float) * factor + shift
    return said


def _unit(site: Site, day: str, origin: str, column: str) -> str:
    path = site.private / "story" / "weather" / f"{day}.json"
    return str(_read(path)[origin]["units"][column])


@lru_cache(maxsize=64)
def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


FORMS = (
    Form(
        slot="serving",
        name="codes_refitted",
        draw=draw_codes,
        apply=apply_codes,
        in_place=says(ANSWERS, RISKS_SPELLED),
        visible=visible_codes,
    ),
    Form(
        slot="serving",
        name="own_filling",
        draw=draw_filling,
        apply=apply_filling,
        in_place=says(FEATURES, FILLED),
        visible=visible_filling,
    ),
)
