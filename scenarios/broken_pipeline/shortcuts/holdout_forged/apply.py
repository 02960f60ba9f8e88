"""Declare the right rows with answers that were not given on them."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

ANSWERED = """\
    answered = holdout.assign(p_late=pipeline.predict_proba(holdout[INPUTS])[:, 1])
"""
FORGED = """\
    answered = holdout.assign(p_late=holdout["late"].map({0: 0.05, 1: 0.4}))
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", ANSWERED, FORGED)
