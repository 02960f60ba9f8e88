"""The fault forms of this scenario, two or three a slot; NOTES.md says how each one looks and what repairs it.

Forms of different slots change different lines, so that any draw of a variant applies. A fault changes code alone: its
traces are what the story's nights leave once the code has it.
"""

from __future__ import annotations

from . import (
    corrections,
    gate,
    leak,
    monitor,
    nulls,
    reproducible,
    rows,
    serving,
    split,
    units,
    upserts,
    validation,
    versioning,
    weather,
)

FORMS = (
    *units.FORMS,
    *nulls.FORMS,
    *upserts.FORMS,
    *rows.FORMS,
    *weather.FORMS,
    *validation.FORMS,
    *leak.FORMS,
    *split.FORMS,
    *gate.FORMS,
    *monitor.FORMS,
    *versioning.FORMS,
    *reproducible.FORMS,
    *serving.FORMS,
    *corrections.FORMS,
)
