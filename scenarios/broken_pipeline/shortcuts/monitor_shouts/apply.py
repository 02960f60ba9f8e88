"""Alert on every window, for every column and kind."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

MAIN = "def main() -> int:\n"
EXTRA = '''def drifted(*_: Any) -> list[Finding]:
    """Everything, always."""
    return [Finding(kind, name, "may be") for kind in ("drift", "nulls") for name in INPUTS]


def stale(*_: Any) -> list[Finding]:
    """As well."""
    return [Finding("model_stale", "all", "may be")]


def wrong(*_: Any) -> list[Finding]:
    """As well."""
    return [Finding("quality", "p_late", "may be")]


'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", MAIN, EXTRA + MAIN)
