"""Give every open answer anew each night."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

CHOSEN = """    return rows[rows["origin"].isin(sources) & ahead & ~superseded].drop_duplicates("row_id", keep="last")
"""
ALL = """    return rows[ahead & ~superseded].drop_duplicates("row_id", keep="last")
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/answers.py", CHOSEN, ALL)
