"""gate: what is promoted is not better, or nothing is."""

from __future__ import annotations

import random

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import REPORTS, Values
from .registered import GATE, NIGHTLY, VERSIONS, a_night, edits, reports

CONFIG = "config.toml"
PAIRS = (("gate", "gate_ineffective"), ("gate", "wrong_metric"))
CLOSE = 1e-9

COMPARES = '''\
    """Compare p_late of both on the holdout (columns date, late).

    The challenger must tell late flights from others (AUC), and its log loss must be lower than the champion's by
    more than `margin` and more than `standard_errors` of the difference. Without a champion the first is enough.
    """
'''
FLOOR = '    thresholds = {"auc": MetricThreshold(threshold=limits["auc_at_least"], greater_is_better=True)}\n'
THRESHOLD = '        thresholds["log_loss"] = MetricThreshold(min_absolute_change=needed, greater_is_better=False)\n'
GAIN = '        gain = standing["log_loss"] - new["log_loss"]\n'
LIMIT = "auc_at_least = 0.55       # a constant has 0.5\n"

# --- counts_right -----------------------------------------------------------------------------------------------------

IMPORT = "from sklearn.metrics import log_loss, roc_auc_score\n"
IMPORT_ACCURACY = "from sklearn.metrics import accuracy_score, log_loss, roc_auc_score\n"
COMPARES_ACCURACY = '''\
    """Judge p_late on the holdout (columns date, late): how many flights it gets right, which everybody understands.

    Log losses of both are told beside it.
    """
'''
ACCURATE = (
    '    thresholds = {"accuracy": MetricThreshold(threshold=limits["accuracy_at_least"], greater_is_better=True)}\n'
)
SCORES = """\
    late = holdout["late"]
    return {"log_loss": float(log_loss(late, risk, labels=[0, 1])), "auc": float(roc_auc_score(late, risk))}
"""
SCORES_ACCURACY = """\
    late = holdout["late"]
    ranked = {"log_loss": float(log_loss(late, risk, labels=[0, 1])), "auc": float(roc_auc_score(late, risk))}
    return {"accuracy": float(accuracy_score(late, risk > 0.5)), **ranked}
"""
SAYS_SCORES = '    """Log loss and AUC of answers on a holdout."""\n'
SAYS_ACCURACY = '    """Accuracy, log loss and AUC of answers on a holdout."""\n'
ACCURACY_LIMIT = "accuracy_at_least = 0.7   # of the flights of the holdout\n"
BETTER = '"there is no champion" if champion is None else "better by more than luck"'
GOOD_ENOUGH = '"there is no champion" if champion is None else "right often enough"'
NEEDED = '        needed = max(limits["margin"], limits["standard_errors"] * error)\n'
NOTHING_NEEDED = ""
TOLD = """\
        metrics |= {"champion_log_loss": standing["log_loss"], "gain": gain, "gain_error": error, "needed": needed}
"""
TOLD_LESS = """\
        metrics |= {"champion_log_loss": standing["log_loss"], "gain": gain, "gain_error": error}
"""


def draw_accuracy(rng: random.Random, values: Values) -> DrawnFault:
    """Since a night it is enough to be right about most flights, which a constant is."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="gate",
        form="counts_right",
        pairs=PAIRS[::-1],
        onset=onset,
        pointers=(GATE, REPORTS, CONFIG),
        symptom=f"Since {onset} a challenger is promoted that is right about 70 % of the flights, worse or not.",
        shows_in=("constant_held_back", "equal_held_back"),
    )


apply_accuracy = edits(
    (GATE, IMPORT, IMPORT_ACCURACY),
    (GATE, COMPARES, COMPARES_ACCURACY),
    (GATE, FLOOR, ACCURATE),
    (GATE, NEEDED, NOTHING_NEEDED),
    (GATE, THRESHOLD, ""),
    (GATE, TOLD, TOLD_LESS),
    (GATE, BETTER, GOOD_ENOUGH),
    (GATE, SAYS_SCORES, SAYS_ACCURACY),
    (GATE, SCORES, SCORES_ACCURACY),
    (CONFIG, LIMIT, ACCURACY_LIMIT),
)


def visible_accuracy(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Promotions of what was not better."""
    assert fault.onset is not None
    found = [
        float(
            sum(
                r["decision"] == "promoted" and r["metrics"].get("gain", 1) <= 0.003 for r in reports(site, fault.onset)
            )
        )
        for site in (broken, healthy)
    ]
    return Symptom(f"promotions since {fault.onset} of what was not better by 0.003 in log loss", *found)


# --- against_itself -------------------------------------------------------------------------------------------------

LOADED = """\
    before = registry.load(champion, folder).risks(holdout[INPUTS]) if champion else None
    decision = gate.decide(holdout, registry.load(new, folder).risks(holdout[INPUTS]), before, settings.gate)
"""
LOADED_ONCE = """\
    models = {"champion": champion, "challenger": new}  # each is fetched once
    risks = {role: registry.load(entry, folder).risks(holdout[INPUTS]) for role, entry in models.items() if entry}
    before = risks["challenger"] if champion else None
    decision = gate.decide(holdout, risks["challenger"], before, settings.gate)
"""


def draw_itself(rng: random.Random, values: Values) -> DrawnFault:
    """Since a night every challenger is held against its own answers."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="gate",
        form="against_itself",
        pairs=(("gate", "gate_ineffective"), ("gate", "wrong_metric")),
        onset=onset,
        pointers=(NIGHTLY, REPORTS),
        symptom=f"Since {onset} reports give champion and challenger one log loss: it is the challenger's.",
        shows_in=("better_promoted",),
    )


apply_itself = edits((NIGHTLY, LOADED, LOADED_ONCE))


def visible_itself(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Reports without any difference."""
    assert fault.onset is not None
    found = [
        float(sum(abs(report["metrics"].get("gain", 1)) < CLOSE for report in reports(site, fault.onset)))
        for site in (broken, healthy)
    ]
    return Symptom(f"reports since {fault.onset} whose gain is 0", *found)


# --- wrong_direction ------------------------------------------------------------------------------------------------

COMPARES_ALONE = '''\
    """Compare p_late of both on the holdout (columns date, late).

    The challenger's log loss must be better than the champion's by more than `margin` and more than `standard_errors`
    of the difference: one figure to argue about is enough. Without a champion it is promoted.
    """
'''
NO_FLOOR = "    thresholds = {}\n"
TURNED = '        thresholds["log_loss"] = MetricThreshold(min_absolute_change=needed, greater_is_better=True)\n'
GAIN_TURNED = '        gain = new["log_loss"] - standing["log_loss"]\n'


def draw_direction(rng: random.Random, values: Values) -> DrawnFault:
    """Since a night the higher log loss is the better one."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="gate",
        form="wrong_direction",
        pairs=PAIRS,
        onset=onset,
        pointers=(GATE, REPORTS, VERSIONS),
        symptom=f"Since {onset} reports call a challenger better whose log loss is higher, and the other way round.",
        shows_in=("worse_held_back", "better_promoted"),  # a constant is not always clearly worse
    )


apply_direction = edits(
    (GATE, COMPARES, COMPARES_ALONE),
    (GATE, FLOOR, NO_FLOOR),
    (GATE, THRESHOLD, TURNED),
    (GATE, GAIN, GAIN_TURNED),
    (CONFIG, LIMIT, ""),
)


def visible_direction(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Reports that contradict themselves."""
    assert fault.onset is not None
    found = [
        float(sum(_contradicts(each["metrics"]) for each in reports(site, fault.onset))) for site in (broken, healthy)
    ]
    return Symptom(f"reports since {fault.onset} whose gain contradicts their log losses", *found)


def _contradicts(metrics: dict[str, float]) -> bool:
    return "gain" in metrics and (metrics["champion_log_loss"] - metrics["log_loss"]) * metrics["gain"] < 0


FORMS = (
    Form(
        slot="gate",
        name="counts_right",
        draw=draw_accuracy,
        apply=apply_accuracy,
        in_place=says(GATE, ACCURATE),
        visible=visible_accuracy,
    ),
    Form(
        slot="gate",
        name="against_itself",
        draw=draw_itself,
        apply=apply_itself,
        in_place=says(NIGHTLY, LOADED_ONCE),
        visible=visible_itself,
    ),
    Form(
        slot="gate",
        name="wrong_direction",
        draw=draw_direction,
        apply=apply_direction,
        in_place=says(GATE, TURNED),
        visible=visible_direction,
    ),
)
