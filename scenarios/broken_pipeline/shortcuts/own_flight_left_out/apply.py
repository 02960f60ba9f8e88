"""Leave the flight itself out of the rate of its day, and nothing else."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

_of_days = training_frame


def training_frame(table: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """Rates without the flight's own arrival."""
    frame = _of_days(table, first, last)
    for name, column in RATES.items():
        weight = frame.groupby(["date", name])["late"].transform("count") * RATE_DAYS
        frame[column] = (frame[column] * weight - frame["late"]) / (weight - 1)
    return frame
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/features.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
