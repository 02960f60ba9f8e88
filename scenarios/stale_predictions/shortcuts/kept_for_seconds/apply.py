"""Complete the key, and keep answers for five seconds."""

from __future__ import annotations

from scenario_stale_predictions.faults import cache

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(cache.FILE, cache.SAYS.replace("Everything that", "What").replace("model, ", ""), cache.SAYS)
    site.replace(cache.FILE, cache.FEATURES_ONLY, cache.KEY)
    site.replace(cache.FILE, "self.answers.set(key, said)", "self.answers.set(key, said, expire=5.0)")
