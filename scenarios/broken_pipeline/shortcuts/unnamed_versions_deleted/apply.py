"""Tag new versions again, and delete those of which nobody can say what made them."""

from __future__ import annotations

from scenario_broken_pipeline.faults import versioning

from harness.model import DrawnFault, Site, Variant

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
    site.replace("delays/training.py", versioning.PLAIN_RUN, versioning.RUN)
    site.replace("delays/training.py", versioning.TAGGED_LESS, versioning.TAGGED)
    site.replace("delays/registry.py", FIND, TIDY + FIND)
    site.replace("delays/nightly.py", LANDS, LANDS + "        registry.tidy()\n")
