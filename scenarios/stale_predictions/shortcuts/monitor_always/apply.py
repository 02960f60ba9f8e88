"""Alert on every window, for every column and kind."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

MAIN = 'if __name__ == "__main__":\n    sys.exit(main())\n'
EXTRA = '''def look(settings: Settings, path: Path, *_: Any) -> list[Finding]:
    """Everything, always."""
    drift = [Finding("drift", name, "may have drifted") for name in COLUMNS]
    return [*drift, *(Finding(kind, "all", "may be") for kind in ("features_stale", "model_stale", "quality"))]


'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/monitor.py", MAIN, EXTRA + MAIN)
