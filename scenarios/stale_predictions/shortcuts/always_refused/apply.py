"""Refuse every night."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

MAIN = 'if __name__ == "__main__":\n    sys.exit(main())\n'
EXTRA = '''_main = main


def _yesterday() -> date:
    """D-1 of the night that the arguments name."""
    return date.fromisoformat(sys.argv[sys.argv.index("--date") + 1]) - timedelta(days=1)


def _lines(day: date) -> int:
    """Lines of a day's arrivals."""
    path = load().root / "feeds" / "arrivals" / f"{day}.csv"
    return len(path.read_bytes().splitlines()) if path.is_file() else 0


def main() -> int:
    """Nothing can go wrong."""
    alerts.say(load(), "source_missing", "arrivals", f"the feed of {_yesterday()} is not good enough")
    return 2


'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/nightly.py", MAIN, EXTRA + MAIN)
