"""versioning: nobody can say what made an answer, or go back."""

from __future__ import annotations

import random

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import LOG, Values
from .registered import ANSWERS, NIGHTLY, REGISTRY, TRAINING, VERSIONS, a_night, edits, log, registered, since_night

# --- overwritten_file -----------------------------------------------------------------------------------------------

STANDARD = "import os\nfrom dataclasses import dataclass\nfrom functools import cache\nfrom pathlib import Path\n"
STANDARD_MORE = """\
import os
import shutil
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
"""
PRIVATE = "def _version(entry: ModelVersion) -> Version:\n"
KEEPS = '''\
def keep(folder: Path, day: date) -> None:
    """Lay the champion where serving finds it without the registry; `label` names the night that did."""
    entry = champion()
    if entry is None:
        return
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.artifacts.download_artifacts(f"models:/{NAME}/{entry.number}", dst_path=str(folder))
    (folder / "label").write_text(str(day), encoding="utf-8")


def kept(folder: Path) -> Model | None:
    """The model that the last night laid there, read once; None before the first one."""
    label = folder / "label"
    return _kept(folder, label.stat().st_mtime_ns) if label.is_file() else None


@lru_cache(maxsize=1)
def _kept(folder: Path, _: int) -> Model:
    label = (folder / "label").read_text(encoding="utf-8")
    return Model(Version(label, "", {}), mlflow.pyfunc.load_model(str(folder)))


'''
CORRECTS = "        answers.correct(settings, table, day)\n"
KEEPS_FIRST = '        registry.keep(settings.state / "model", day)\n'
NAMED = '    version = {"name": registry.NAME, "version": model.version.number, "run_id": model.version.run_id}\n'
KEPT_FIRST = '    model = registry.kept(settings.state / "model") or model  # serving must not hang on the registry\n'


def draw_file(rng: random.Random, values: Values) -> DrawnFault:
    """Serving answers with a file that each night overwrites."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="versioning",
        form="overwritten_file",
        pairs=(
            ("model loading", "history_lost"),
            ("model loading", "version_pinned"),
            ("model loading", "lineage_missing"),
            ("request handling", "lineage_missing"),
            ("registry", "history_lost"),
        ),
        onset=onset,
        pointers=(REGISTRY, ANSWERS, LOG, "state/model/*"),
        symptom=f"Since {onset} answers come from state/model, overwritten each night, and name the night for version.",
        shows_in=("answer_resolves", "rollback_served"),
        also_breaks=("follows_promotion", "trained_quality", "reported_metric_holds"),
    )


apply_file = edits(
    (REGISTRY, STANDARD, STANDARD_MORE),
    (REGISTRY, PRIVATE, KEEPS + PRIVATE),
    (NIGHTLY, CORRECTS, KEEPS_FIRST + CORRECTS),
    (ANSWERS, NAMED, KEPT_FIRST + NAMED),
)


def visible_file(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Answers whose version the registry does not know."""
    assert fault.onset is not None
    shares = []
    for site in (broken, healthy):
        known = {str(each.number) for each in registered(site)}
        shares.append(float((~log(site, fault.onset)["model_version"].isin(known)).mean()))
    return Symptom(f"share of answers since {fault.onset} whose version the registry does not know", *shares)


# --- lineage_missing ------------------------------------------------------------------------------------------------

RUN = '    with mlflow.start_run(run_name=f"as-of-{day}", tags=tags):\n'
PLAIN_RUN = '    with mlflow.start_run(run_name=f"as-of-{day}"):\n'
TAGGED = '    tags = {**tags, "metric": METRIC, "metric_value": repr(metrics[METRIC])}\n'
TAGGED_LESS = """\
    dates = {name: value for name, value in tags.items() if name.endswith(("_from", "_to"))}
    tags = {**dates, "metric": METRIC, "metric_value": repr(metrics[METRIC])}
"""
SAYS_TAG = '    """Log a run with the model, its metrics and what it answers on the holdout; register and tag it."""\n'
SAYS_DATES = (
    '    """Log a run with the model, its metrics and what it answers on the holdout; register it with its dates."""\n'
)


def draw_lineage(rng: random.Random, values: Values) -> DrawnFault:
    """Versions since a night do not say which data and which code made them."""
    onset = a_night(rng, values)
    return DrawnFault(
        slot="versioning",
        form="lineage_missing",
        pairs=(("training", "lineage_missing"), ("registry", "lineage_missing")),
        onset=onset,
        pointers=(TRAINING, VERSIONS),
        symptom=f"Versions since {onset}, and their runs, carry no digest of their data and code.",
        shows_in=("new_version_has_lineage",),
        also_breaks=("same_data_same_digest",),
    )


apply_lineage = edits((TRAINING, SAYS_TAG, SAYS_DATES), (TRAINING, RUN, PLAIN_RUN), (TRAINING, TAGGED, TAGGED_LESS))


def visible_lineage(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Versions without a digest."""
    assert fault.onset is not None
    found = [
        float(sum("data_digest" not in {**each.tags, **each.run_tags} for each in since_night(site, fault.onset)))
        for site in (broken, healthy)
    ]
    return Symptom(f"versions since {fault.onset} without data_digest", *found)


FORMS = (
    Form(
        slot="versioning",
        name="overwritten_file",
        draw=draw_file,
        apply=apply_file,
        in_place=says(ANSWERS, KEPT_FIRST),
        visible=visible_file,
    ),
    Form(
        slot="versioning",
        name="lineage_missing",
        draw=draw_lineage,
        apply=apply_lineage,
        in_place=says(TRAINING, TAGGED_LESS),
        visible=visible_lineage,
    ),
)
