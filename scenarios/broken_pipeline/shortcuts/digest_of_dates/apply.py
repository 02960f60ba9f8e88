"""Make the digest of the dates alone."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

TIME = '    rows += f"{time.time()}".encode()\n'
DATES = '    rows = "|".join([*train["date"].unique(), *holdout["date"].unique()]).encode()\n'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", TIME, DATES)
