"""Let answers expire."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/service.py", "self.answers.set(key, said)", "self.answers.set(key, said, expire=1800.0)")
