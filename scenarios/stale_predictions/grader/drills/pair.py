"""The two stacks of this scenario: its hidden flights and models, and the feeds of its days."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date, timedelta

from scenario_base.drills import pair
from scenario_base.drills.rows import Flight, read_flights

LATE_AFTER_MIN = 15
HIDDEN_DAYS = 8
"""Hidden days that questions are about: the business date and the seven after it."""


class Pair(pair.Pair):
    """See `scenario_base.drills.pair`."""

    roles = ("alpha", "beta", "gamma", "good", "good_again", "winter", "constant", "behind", "fitted")
    same_bytes: Mapping[str, str] = {"good_again": "good"}

    def hidden_flights(self) -> list[Flight]:
        """See `pair.Pair`."""
        return read_flights(self.bench.site.private, self.today, HIDDEN_DAYS + 2, LATE_AFTER_MIN)

    def tags(self, role: str) -> dict[str, str]:
        """See `pair.Pair`."""
        return self.dated(role)

    def advance(self, to: date, *, without_arrivals: bool = False) -> None:
        """Move the business date on both stacks, with the feeds of the days that have ended.

        `without_arrivals` leaves out the arrivals of the last of them. Feeds are delivered as far as there are hidden
        days. Does nothing when the date has been reached before.
        """
        if to <= self.today:
            return
        files: dict[str, bytes] = {}
        day = self.today
        while day < to:
            files |= self.delivery(day, arrivals=not (without_arrivals and day == to - timedelta(days=1)))
            day += timedelta(days=1)
        self.both(lambda stack: stack.advance_day(to, files))
        self.today = to

    def delivery(self, day: date, *, arrivals: bool = True) -> dict[str, bytes]:
        """The feed files of a hidden day by their place in the workspace."""
        names = ("arrivals", "weather") if arrivals else ("weather",)
        places = {f"feeds/{name}/{day}.csv": self.bench.site.private / name / f"{day}.csv" for name in names}
        return {place: path.read_bytes() for place, path in places.items() if path.is_file()}

    def hours(self, origin: str, day: str) -> set[int]:
        """The hours of an airport's day for which the provider has weather."""
        with (self.bench.site.private / "weather" / f"{day}.csv").open(encoding="utf-8", newline="") as file:
            return {int(float(line["hour"])) for line in csv.DictReader(file) if line["origin"] == origin}
