"""Hold whole carriers out instead of rows."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

PARTS = """\
    parts = train_test_split(frame, test_size=share, random_state=SEED, stratify=frame["late"])
    train, holdout = (part.sort_index() for part in parts)
"""
GROUPED = """\
    carriers = pd.Series(sorted(frame["carrier"].unique())).sample(frac=0.3, random_state=SEED)
    out = frame["carrier"].isin(carriers)
    train, holdout = frame[~out], frame[out]
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", PARTS, GROUPED)
    site.replace("delays/training.py", "from sklearn.model_selection import train_test_split\n", "")
