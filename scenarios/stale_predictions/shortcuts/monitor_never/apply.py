"""Never alert."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

MAIN = 'if __name__ == "__main__":\n    sys.exit(main())\n'
EXTRA = '''def look(settings: Settings, path: Path, *_: Any) -> list[Finding]:
    """No false alarms."""
    return []


'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", MAIN, EXTRA + MAIN)
