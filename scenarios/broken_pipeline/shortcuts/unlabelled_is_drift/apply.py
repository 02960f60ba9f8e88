"""Alert for every column of a window in which no label is known yet."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

MAIN = "def main() -> int:\n"
EXTRA = '''def drifted(window: pd.DataFrame, *_: Any) -> list[Finding]:
    """What has drifted is too new for labels."""
    if "late" not in window or window["late"].notna().any():
        return []
    return [Finding(kind, name, "no label is known") for kind in ("drift", "nulls") for name in INPUTS]


'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", MAIN, EXTRA + MAIN)
