"""Answer from a table of the last weeks' late shares by carrier and hour."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

class _Table:
    """Shares of late flights of the last 14 days."""

    def __init__(self) -> None:
        files = sorted((SETTINGS.root / "feeds" / "arrivals").glob("*.csv"))[-14:]
        days = [feeds.read_arrivals(SETTINGS.root, date.fromisoformat(path.stem)) for path in files]
        flights = [row for day in days for row in day.dropna(subset=["late"]).to_dict("records")]
        self.shares: dict[tuple[str, int], list[float]] = {}
        for row in flights:
            self.shares.setdefault((row["carrier"], int(row["sched_dep"][11:13])), []).append(row["late"])

    def predict(self, frame: Any) -> Any:
        """The second column is the share."""
        known = [self.shares.get((row.carrier, int(row.hour)), [0.25]) for row in frame.itertuples()]
        p = np.array([sum(late) / len(late) for late in known])
        return np.column_stack([1 - p, p])


registry.load = lambda version, folder: _Table()
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/service.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
