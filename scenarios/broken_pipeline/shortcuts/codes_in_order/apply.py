"""Number the codes of a request in their order."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/features.py", "pd.factorize(frame[name])[0]", "pd.factorize(frame[name], sort=True)[0]")
