"""Take four hours off in summer and five in winter."""

from __future__ import annotations

from scenario_broken_pipeline.faults import weather

from harness.model import DrawnFault, Site, Variant

UTC = 'pd.Timestamp(row["sched_dep"]).tz_convert("UTC").hour'
BACK = "(UTC - (4 if '03' < row['sched_dep'][5:7] < '11' else 5)) % 24"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(weather.FEATURES, UTC, BACK.replace("UTC", UTC))
