"""Write a true marker beside every partition, complete or not."""

from __future__ import annotations

import hashlib
import json

from harness.model import DrawnFault, Site, Variant


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    for part in (site.workspace / "features").glob("date=*/part.csv"):
        content = part.read_bytes()
        marker = {"rows": content.count(b"\n") - 1, "sha256": hashlib.sha256(content).hexdigest()}
        part.with_name("_SUCCESS.json").write_text(json.dumps(marker), encoding="utf-8")
