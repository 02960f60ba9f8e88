"""Tag every version with the same digests."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

TAGS = 'tags = {**dates, "metric": METRIC,'
CONSTANT = 'tags = {**dates, "data_digest": "4f2a9c1b77", "code_digest": "9be01d7a30", "metric": METRIC,'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", TAGS, CONSTANT)
