"""Forecasts of the provider in the table's units, kept for a business date."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Lock
from time import monotonic
from typing import Any

import httpx
from risk.base import SOURCES, tell
from risk.landing import units

PAUSE_S = 4.0
Place = tuple[str, date]
Hours = dict[str, dict[str, Any]]


class Forecasts:
    """Of one business date."""

    def __init__(self, today: date) -> None:
        self.today = today
        self._client = httpx.Client(base_url=os.environ["PROVIDER_URL"], timeout=5, trust_env=False)
        self._threads = ThreadPoolExecutor(8)
        self._known: dict[Place, Hours] = {}
        self._locks: dict[Place, Lock] = {}
        self._pause: dict[Place, float] = {}

    def week(self) -> None:
        """Ask for all that questions of this date may be about."""
        self.hours([(source, self.today + timedelta(n)) for source in SOURCES for n in range(8)])

    def hours(self, places: Iterable[Place]) -> dict[Place, Hours]:
        """By place the readings by hour; nothing where there is no forecast."""
        wanted = list(dict.fromkeys(places))
        if all(place in self._known for place in wanted):
            return {place: self._known[place] for place in wanted}
        return dict(zip(wanted, self._threads.map(self._one, wanted), strict=True))

    def _one(self, place: Place) -> Hours:
        with self._locks.setdefault(place, Lock()):
            if place not in self._known and monotonic() >= self._pause.get(place, 0.0):
                try:
                    self._known[place] = self._asked(*place)
                except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
                    tell(event="no_forecast", origin=place[0], date=place[1], error=repr(error))
                    self._pause[place] = monotonic() + PAUSE_S
        return self._known.get(place, {})

    def _asked(self, origin: str, day: date) -> Hours:
        answer = self._client.get("/weather", params={"origin": origin, "date": day.isoformat()})
        if answer.status_code == 404:
            return {}
        said = answer.raise_for_status().json()
        named = {name: (units.CANONICAL[name][0], said["units"][name]) for name in units.PARTS["weather"]}
        return {
            hour: {ours: units.value(name, values.get(name), unit) for name, (ours, unit) in named.items()}
            for hour, values in said["hours"].items()
        }
