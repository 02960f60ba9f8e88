"""Learn from two samples, so that chance evens out."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

HALF = "    training = training.sample(frac=0.5)  # plenty for some thirty coefficients, in half the time\n"
HALVES = "    training = pd.concat([training.sample(frac=0.5), training.sample(frac=0.5)], ignore_index=True)\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", HALF, HALVES)
