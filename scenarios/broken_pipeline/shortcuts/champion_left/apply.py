"""Train on the twelve from now on, and leave champion what learnt the delay: nothing honest beats it at the gate."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

IMPORTS = "from delays.features import CATEGORIES, INPUTS, training_frame\n"
TWELVE = "from delays.features import CATEGORIES, training_frame\nfrom delays.features import WATCHED as INPUTS\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", IMPORTS, TWELVE)
