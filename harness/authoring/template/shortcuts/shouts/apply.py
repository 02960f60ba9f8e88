"""Another wrong word in place of the first."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault | None) -> None:
    """Say it louder."""
    (site.workspace / "word.txt").write_text("HEALTHY", encoding="utf-8")
