"""Refuse a night without arrivals, and look at no other feed."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

MAIN = 'if __name__ == "__main__":\n    sys.exit(main())\n'
EXTRA = '''_main = main


def main() -> int:
    """The night, if its arrivals have rows."""
    day = date.fromisoformat(sys.argv[sys.argv.index("--date") + 1])
    path = load().root / "feeds" / "arrivals" / f"{day - timedelta(days=1)}.csv"
    if path.is_file() and len(path.read_bytes().splitlines()) > 1:
        return _main()
    alerts.say(load(), "source_missing", "arrivals", f"{path.name} is missing or empty")
    write_report(load(), day, _report("refused", None, None, {}, f"{path.name} is missing or empty"))
    return 2


'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/nightly.py", MAIN, EXTRA + MAIN)
