"""Append corrections again, and begin the log anew: what was written over cannot be told from what was given."""

from __future__ import annotations

from scenario_broken_pipeline.faults import corrections

from harness.model import DrawnFault, Site, Variant

SAYS_ANEW = '    """Answer affected rows again, by the champion, and append that to the new log; returns how many."""\n'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(corrections.ANSWERS, corrections.AMEND, "")
    site.replace(corrections.ANSWERS, corrections.SAYS_AMENDED, SAYS_ANEW)
    site.replace(corrections.ANSWERS, corrections.AMENDED, corrections.ASKED)
    for path in (site.workspace / "state" / "predictions").glob("*.csv"):
        path.unlink()
