"""No word, no wrong word."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault | None) -> None:
    """Say nothing."""
    (site.workspace / "word.txt").write_text("", encoding="utf-8")
