"""Bound the age of features, and serve on with what is loaded where none is valid."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

FEATURES, SERVICE = "delays/features.py", "delays/service.py"
UNBOUND = "    dated = [(day, folder) for day, folder in _folders(root) if day < business_date]\n"
BOUND = """    oldest = business_date - timedelta(days=VALID_DAYS)
    dated = [(day, folder) for day, folder in _folders(root) if oldest <= day < business_date]
"""
SAID = "        self._say_expired(partition, today)\n"
KEPT = """        if partition is None and self.snapshot is not None:
            partition = self.snapshot.partition
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(FEATURES, UNBOUND, BOUND)
    site.replace(SERVICE, SAID, SAID + KEPT)
