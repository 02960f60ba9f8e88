"""Append corrections with the right distance, the risk that was given, and no version."""

from __future__ import annotations

from scenario_broken_pipeline.faults import corrections

from harness.model import DrawnFault, Site, Variant

APPENDED = """\
    asked = wrong[QUESTION].astype({"flight": "int64"}).assign(row_id=wrong["row_id"] + f"+{day}")
    rows, routes = asked.to_dict("records"), zip(wrong["origin"], wrong["dest"], strict=True)
    miles = [known.distances.get(route) for route in routes]
    said = [
        {"features": {"distance_mi": now}, "p_late": risk, "model": {"version": ""}}
        for now, risk in zip(miles, wrong["p_late"], strict=True)
    ]
    append(settings, rows, said, day, wrong["row_id"].tolist())
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(corrections.ANSWERS, corrections.AMEND, "")
    site.replace(corrections.ANSWERS, corrections.SAYS_AMENDED, corrections.SAYS)
    site.replace(corrections.ANSWERS, corrections.AMENDED, APPENDED)
