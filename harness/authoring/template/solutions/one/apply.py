"""The word is put right where it stands."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault | None) -> None:
    """Say healthy."""
    (site.workspace / "word.txt").write_text("healthy\n\n", encoding="utf-8")
