"""Tag new versions again, and delete those of which nobody can say what made them."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

PLAIN_RUN = '    with mlflow.start_run(run_name=f"as-of-{day}"):\n'
RUN = '    with mlflow.start_run(run_name=f"as-of-{day}", tags=tags):\n'
LESS = """\
    dates = {name: value for name, value in tags.items() if name.endswith(("_from", "_to"))}
    tags = {**dates, "metric": METRIC, "metric_value": repr(metrics[METRIC])}
"""
TAGGED = '    tags = {**tags, "metric": METRIC, "metric_value": repr(metrics[METRIC])}\n'
FIND = "def find(tags: dict[str, str]) -> Version | None:\n"
TIDY = '''\
def tidy() -> None:
    """Delete versions without a digest that no alias names."""
    named = set(client().get_registered_model(NAME).aliases.values())
    for entry in client().search_model_versions(f"name = '{NAME}'", max_results=10_000):
        if "data_digest" not in entry.tags and entry.version not in named:
            client().delete_model_version(NAME, entry.version)


'''
LANDS = "        table, yesterday = ingest.land(settings, day), day - timedelta(days=1)\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", PLAIN_RUN, RUN)
    site.replace("delays/training.py", LESS, TAGGED)
    site.replace("delays/registry.py", FIND, TIDY + FIND)
    site.replace("delays/nightly.py", LANDS, LANDS + "        registry.tidy()\n")
