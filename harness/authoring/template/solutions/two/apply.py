"""The word is served without a file."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault | None) -> None:
    """Say healthy, whatever stands in word.txt."""
    site.replace("bin/serve", "content = Path(name)", 'content = b"healthy" if self.path == "/word" else Path(name)')
    (site.workspace / "word.txt").unlink()
