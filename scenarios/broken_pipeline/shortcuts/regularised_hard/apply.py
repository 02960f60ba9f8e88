"""Keep the column and regularise until the model hardly uses it."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", "LogisticRegression(C=1.0, ", "LogisticRegression(C=0.0001, ")
    site.replace("delays/training.py", '"C": 1.0', '"C": 0.0001')
