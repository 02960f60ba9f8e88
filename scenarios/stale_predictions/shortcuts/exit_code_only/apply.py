"""End with exit code 2 where the feed is missing or empty, after everything else was done."""

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
    """The night, and the exit code that the brief asks for."""
    short = _lines(_yesterday()) < 2
    code = _main()
    return 2 if short else code


'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/nightly.py", MAIN, EXTRA + MAIN)
