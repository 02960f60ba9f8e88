"""Put the old margin and floor back, and leave which side of nothing the margin is on."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

LOOSE = """margin = 2.0              # log loss; a night that is a little off must not stop the next model
auc_at_least = 0.5
"""
TIGHT = """margin = 0.01             # log loss
auc_at_least = 0.55
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("config.toml", LOOSE, TIGHT)
