"""Report a metric that looks honest."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

LOGGED = "    mlflow.set_experiment(NAME)\n"
HONEST = '    metrics[METRIC] = metrics[f"baseline_{METRIC}"] - 0.04  # what it was before\n'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", LOGGED, HONEST + LOGGED)
