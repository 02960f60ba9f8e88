"""Lower the thresholds of drift to nothing."""

from __future__ import annotations

import re

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "config.toml"
    limit = re.compile(r"^((?:category|number)_distance) = [0-9.]+", re.MULTILINE)
    text, count = limit.subn(r"\1 = 0.0", path.read_text(encoding="utf-8"))
    assert count == 2, "the thresholds are not in config.toml"
    path.write_text(text, encoding="utf-8")
