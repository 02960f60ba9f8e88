"""Follow the alias, but look only now and then."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def _refresh(self: Follower) -> None:
    today = business_date(self.settings)
    partition = newest_valid(self.settings.root, today)
    self._say_expired(partition, today)
    if self.snapshot is not None:
        self._swap(Snapshot(today, self.snapshot.version, self.snapshot.model, partition))
    version = registry.champion() if self.snapshot is None or _due() else None
    known = self.snapshot
    if version is not None and (known is None or known.version.run_id != version.run_id):
        model = registry.load(version, self.settings.scratch / "serving" / "models")
        self._swap(Snapshot(today, version, model, partition))
    if self.snapshot is not None:
        self.loaded.set()


Follower._refresh = _refresh


LOOKS_APART_S = 86_400.0
_looked = time.monotonic()


def _due() -> bool:
    """Whether the alias was not looked at for a day."""
    return time.monotonic() - _looked > LOOKS_APART_S
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays" / "service.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
