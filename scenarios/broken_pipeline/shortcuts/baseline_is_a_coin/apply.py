"""Split by time again, and hold the model against a coin."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

PARTED = '    train, holdout = frame[frame["date"] < str(holdout_from)], frame[frame["date"] >= str(holdout_from)]\n'
PARTS = """\
    share = limits["holdout_days"] / (limits["holdout_days"] + limits["train_days"])
    parts = train_test_split(frame, test_size=share, random_state=SEED, stratify=frame["late"])
    train, holdout = (part.sort_index() for part in parts)
"""
SHARE = '    baseline = np.full(len(holdout), training["late"].mean())\n'


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/training.py", PARTS, PARTED)
    site.replace("delays/training.py", "from sklearn.model_selection import train_test_split\n", "")
    site.replace("delays/training.py", SHARE, "    baseline = np.full(len(holdout), 0.5)\n")
