"""Alert on every second window."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

MAIN = "def main() -> int:\n"
EXTRA = '''_seen: list[int] = []


def drifted(*_: Any) -> list[Finding]:
    """Half of the time."""
    _seen.append(1)
    return [Finding(k, name, "may be") for k in ("drift", "nulls") for name in INPUTS] if len(_seen) % 2 else []


'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", MAIN, EXTRA + MAIN)
