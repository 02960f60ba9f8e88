"""Refuse the night, say so, and leave the report as it was."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

SWALLOWED = """        log("feed_late", source=error.source, reason=str(error))
    if report is None:
        carry_over(settings, day - timedelta(days=1))
        standing = registry.champion()
        report = _report("held", standing.number if standing else None, None, {}, "nothing new to compare")
    write_report(settings, day, report)
    log("nightly", date=day, **report)
    return DONE
"""
SAID = """        alerts.say(settings, "source_missing", error.source, str(error))
    if report is None:
        standing = registry.champion()
        report = _report("held", standing.number if standing else None, None, {}, "nothing new to compare")
    write_report(settings, day, report)
    log("nightly", date=day, **report)
    return 2 if refused else DONE
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/nightly.py", SWALLOWED, SAID)
