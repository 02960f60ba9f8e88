"""Seed the drawing of rows where bin/train begins."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

BEGINS = "    settings = load()\n    table, _ = ingest.read(settings)\n"
SEEDS = "    np.random.seed(SEED)\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", BEGINS, SEEDS + BEGINS)
