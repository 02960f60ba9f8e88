"""The fault forms of this scenario, two or three a slot; NOTES.md says how each one looks and what repairs it.

Forms of different slots change different lines, so that any draw of a variant applies. What happened when is kept apart
in the story, so that no fault hides another: see `days`.
"""

from __future__ import annotations

from . import cache, expiry, gate, lineage, loading, monitor, nightly, registry, selection

FORMS = (
    *selection.FORMS,
    *expiry.FORMS,
    *gate.FORMS,
    *monitor.FORMS,
    *registry.FORMS,
    *loading.FORMS,
    *cache.FORMS,
    *nightly.FORMS,
    *lineage.FORMS,
)
