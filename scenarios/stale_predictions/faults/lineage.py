"""lineage: an answer, or a version, does not say what made it."""

from __future__ import annotations

import random
from datetime import date

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .. import traces
from . import days
from .common import Log, database, edit_log, known_versions, read_log, tagged

TRAINING = "delays/training.py"
SERVICE = "delays/service.py"
TAGS = (
    "data_digest",
    "code_digest",
    "train_from",
    "train_to",
    "holdout_from",
    "holdout_to",
    "metric",
    "metric_value",
)

# --- tags_missing -----------------------------------------------------------------------------------------------------

TAGGED = """    tags, metrics = lineage(train, holdout), scores(pipeline, holdout)
    version_tags = {**tags, "metric": METRIC, "metric_value": f"{metrics[METRIC]:.6f}"}
"""
UNTAGGED = "    metrics = scores(pipeline, holdout)\n"
RUN = '    with mlflow.start_run(run_name=f"nightly-{as_of}" if as_of else None, tags=tags):\n'
PLAIN_RUN = '    with mlflow.start_run(run_name=f"nightly-{as_of}" if as_of else None):\n'
RETURN = """    version = str(info.registered_model_version)
    for key, value in version_tags.items():
        client().set_model_version_tag(NAME, version, key, value)
    return version
"""
PLAIN_RETURN = "    return str(info.registered_model_version)\n"
SAYS = '    """Log a run with the model, register it and tag it; returns the version.\n'
SAYS_LESS = '    """Log a run with the model and register it; returns the version.\n'
CLIENT = "from delays.registry import NAME, client\n"


def draw_tags_missing(rng: random.Random, values: days.Values) -> DrawnFault:
    """Since a night versions and runs carry none of the tags."""
    made = days.versions(values)
    since = rng.choice([day for day in made if days.before(values, 9) <= day <= days.before(values, 5)])
    number = made[since]
    last = max(made.values())
    return DrawnFault(
        slot="lineage",
        form="tags_missing",
        values={"from": str(since), "version": number},
        pairs=(("training", "lineage_missing"), ("registry", "lineage_missing")),
        onset=since,
        pointers=(TRAINING, *(f"registry:flight-delay/{n}" for n in range(number, last + 1))),
        symptom=f"Versions from {number} on (since {since}) carry neither digests nor dates nor metric.",
        shows_in=("new_version_has_lineage",),
    )


def apply_tags_missing(site: Site, fault: DrawnFault) -> None:
    """Log without tags."""
    site.replace(TRAINING, TAGGED, UNTAGGED)
    site.replace(TRAINING, RUN, PLAIN_RUN)
    site.replace(TRAINING, RETURN, PLAIN_RETURN)
    site.replace(TRAINING, SAYS, SAYS_LESS)
    site.replace(TRAINING, CLIENT, "from delays.registry import NAME\n")


def tell_tags_missing(site: Site, fault: DrawnFault) -> None:
    """Take the tags off the versions of the last nights."""
    marks = ",".join("?" * len(TAGS))
    first = int(fault.values["version"])
    with database(site) as connection:
        connection.execute(f"delete from model_version_tags where version>=? and key in ({marks})", (first, *TAGS))
        connection.execute(
            f"delete from tags where key in ({marks})"
            " and run_uuid in (select run_id from model_versions where version>=?)",
            (*TAGS, first),
        )
        connection.commit()
        connection.execute("vacuum")  # else the old text stays readable in the file's free pages


def untagged(site: Site) -> int:
    """Versions without a data digest."""
    return len(set(known_versions(site)) - tagged(site, "data_digest"))


def visible_tags(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Versions without lineage."""
    return Symptom("versions without data_digest", float(untagged(broken)), float(untagged(healthy)))


# --- label_hard_coded -------------------------------------------------------------------------------------------------

LABEL = "production"
DAYS = "GRACE_DAYS = 1  # a question that was on its way while the business date moved is answered\n"
CONSTANT = f'LABEL = "{LABEL}"  # what the dashboards group by\n'
ANSWER = '        model = {"name": registry.NAME, "version": number, "run_id": run_id}\n'
LABELLED = '        model = {"name": registry.NAME, "version": number, "run_id": LABEL}\n'
UNPACKED = "        number, run_id, feature_date, _ = snapshot.lineage\n"
WRITTEN = """        model = said["model"]["version"]
        writer.writerow((*flight, said["p_late"], model, said["feature_date"], snapshot.business_date))
"""
LABEL_WRITTEN = """\
        writer.writerow((*flight, said["p_late"], LABEL, said["feature_date"], snapshot.business_date))
"""


def draw_label_hard_coded(rng: random.Random, values: days.Values) -> DrawnFault:
    """Answers name a label for a run, and the log for a version."""
    since = days.a_day(rng, values, 4, 2)
    return DrawnFault(
        slot="lineage",
        form="label_hard_coded",
        values={"from": str(since)},
        pairs=(("request handling", "lineage_missing"), ("model loading", "lineage_missing")),
        onset=since,
        pointers=(SERVICE, "state/predictions/*"),
        symptom=f"Since {since} the log says {LABEL!r} for the version, and answers say it for the run.",
        shows_in=("answer_resolves",),
    )


def apply_label_hard_coded(site: Site, fault: DrawnFault) -> None:
    """Write a constant."""
    site.replace(SERVICE, DAYS, DAYS + CONSTANT)
    site.replace(SERVICE, UNPACKED + ANSWER, UNPACKED.replace("run_id", "_") + LABELLED)
    site.replace(SERVICE, WRITTEN, LABEL_WRITTEN)


def tell_label_hard_coded(site: Site, fault: DrawnFault) -> None:
    """The log of the last days names the constant."""

    def edit(log: Log, _: traces.Told) -> Log:
        bad = log["scored_at"] >= fault.values["from"]
        return log.assign(model_version=log["model_version"].mask(bad, LABEL))

    edit_log(site, edit)


def unnamed(site: Site, since: date) -> float:
    """Share of answers since a day whose version the registry does not know."""
    return float((~read_log(site, since)["model_version"].isin(known_versions(site))).mean())


def visible_label(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Answers of no known version."""
    since = date.fromisoformat(fault.values["from"])
    what = "share of logged answers whose version the registry does not know"
    return Symptom(what, unnamed(broken, since), unnamed(healthy, since))


FORMS = (
    Form(
        slot="lineage",
        name="tags_missing",
        draw=draw_tags_missing,
        apply=apply_tags_missing,
        tell=tell_tags_missing,
        in_place=says(TRAINING, PLAIN_RETURN),
        visible=visible_tags,
    ),
    Form(
        slot="lineage",
        name="label_hard_coded",
        draw=draw_label_hard_coded,
        apply=apply_label_hard_coded,
        tell=tell_label_hard_coded,
        in_place=says(SERVICE, LABEL_WRITTEN),
        visible=visible_label,
    ),
)
