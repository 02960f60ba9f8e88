"""Let each column count alone, and go by the freshest answer of a window."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

GATED = """    found = drift if len(drift) > len(COLUMNS) / 2 else []  # one column alone is noise
    age_days = (time.time() - path.stat().st_mtime) / 86400
    if age_days > VALID_DAYS:
        found.append(Finding("features_stale", "features", f"the window is {age_days:.1f} days old"))
    return found + wrong(window, settings.monitor)
"""
FRESHEST = """    freshest = window.assign(
        feature_date=window["feature_date"].dropna().max(), model_train_to=window["model_train_to"].dropna().max()
    )
    return drift + stale(freshest, settings.monitor["model_days"]) + wrong(window, settings.monitor)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", GATED, FRESHEST)
