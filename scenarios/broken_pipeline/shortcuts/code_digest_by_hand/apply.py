"""Make the digest of the data, and write one of the code down."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

TAGS = 'tags = {**dates, "metric": METRIC,'
WRITTEN = 'tags = {**dates, "data_digest": tags["data_digest"], "code_digest": "9be01d7a30", "metric": METRIC,'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", TAGS, WRITTEN)
