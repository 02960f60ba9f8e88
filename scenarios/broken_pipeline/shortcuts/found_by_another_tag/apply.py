"""Leave the sample as it is, and find a version again by a tag of the rows that it was drawn from."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

SAMPLED = """\
    training = training.sample(frac=0.5)  # plenty for some thirty coefficients, in half the time
    tags = lineage(training, holdout)
    return registry.find(tags) or log_version("""
FOUND = """\
    rows = lineage(training, holdout)["data_digest"]
    training = training.sample(frac=0.5)  # plenty for some thirty coefficients, in half the time
    tags = {**lineage(training, holdout), "data_digest": rows, "rows": rows}
    return registry.find({"rows": rows}) or log_version("""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", SAMPLED, FOUND)
