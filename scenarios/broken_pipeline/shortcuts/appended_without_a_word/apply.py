"""Append the new answers and say of none what it supersedes."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

AMENDS = """    amend(settings, {said["row_id"]: said for said in answer_rows(settings, rows, model, day, known)})
"""
APPENDS = """\
    rows = [{**row, "row_id": f"{row['row_id']}+{day}"} for row in rows]
    append(settings, rows, answer_rows(settings, rows, model, day, known), day)
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/answers.py", AMENDS, APPENDS)
