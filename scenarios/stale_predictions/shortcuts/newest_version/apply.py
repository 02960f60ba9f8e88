"""Serve the version with the highest number, whatever the alias says."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def _newest() -> registry.Version | None:
    """The version with the highest number."""
    entries = registry.client().search_model_versions(f"name = '{registry.NAME}'", max_results=10_000)
    numbers = [int(entry.version) for entry in entries]
    return registry.version(str(max(numbers))) if numbers else None


def _refresh(self: Follower) -> None:
    today = business_date(self.settings)
    partition = newest_valid(self.settings.root, today)
    self._say_expired(partition, today)
    if self.snapshot is not None:
        self._swap(Snapshot(today, self.snapshot.version, self.snapshot.model, partition))
    version = _newest()
    known = self.snapshot
    if version is not None and (known is None or known.version.run_id != version.run_id):
        model = registry.load(version, self.settings.scratch / "serving" / "models")
        self._swap(Snapshot(today, version, model, partition))
    if self.snapshot is not None:
        self.loaded.set()


Follower._refresh = _refresh
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/service.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
