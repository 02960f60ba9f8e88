"""Fill a missing humidity with the mean of its day in place of 0."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import nulls

from harness.model import DrawnFault, Site, Variant

MEAN = """\
    parts = {
        name: _filled(_read(place, name, manifest[name])).assign(**known) for name in COLUMNS if name in manifest
    }
"""
HELPER = """\
def _filled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.fillna({"humid_pct": frame["humid_pct"].mean()}) if "humid_pct" in frame else frame


def _read("""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(nulls.DELIVERIES, nulls.PARTS_DRY, MEAN)
    site.replace(nulls.DELIVERIES, "def _read(", HELPER)
    landing.anew(site, variant.business_date)
