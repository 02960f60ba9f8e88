"""Ask for the alias and load the model in every request."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = """

def _current(self: Follower) -> Snapshot:
    version = registry.champion()
    if version is None:
        raise ServiceUnavailable("no champion")
    today = business_date(self.settings)
    model = registry.load(version, self.settings.scratch / "serving" / f"{time.monotonic_ns()}")
    return Snapshot(today, version, model, newest_valid(self.settings.root, today))


Follower.current = _current
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/service.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
