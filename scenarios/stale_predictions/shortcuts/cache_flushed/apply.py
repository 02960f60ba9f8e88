"""Empty the answer cache in the nightly."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = "python -c 'import diskcache; diskcache.Cache(\"var/serving/answers\", disk=diskcache.JSONDisk).clear()'\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "bin" / "nightly"
    path.write_text(path.read_text(encoding="utf-8").replace("exec python", EXTRA + "exec python"), encoding="utf-8")
