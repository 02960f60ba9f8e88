"""Forecasts from the provider, asked for sparingly: what one worker has fetched, all have."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import diskcache
import httpx
from delays.config import Settings, log

Hours = dict[str, dict[str, Any]]


class Weather:
    """Hours of an airport and day. A forecast does not change within a business date, so that is part of the key.

    `shared` is a cache that all workers open and that starts empty with serving: it holds the forecasts and the number
    of calls made for each.
    """

    def __init__(self, settings: Settings, shared: diskcache.Cache) -> None:
        self.limits = settings.weather
        self.shared = shared
        self.http = httpx.Client(base_url=settings.provider_url, timeout=self.limits["timeout_s"], trust_env=False)
        self.pool = ThreadPoolExecutor(8, thread_name_prefix="weather")
        self.known: dict[str, Hours] = {}

    def hours(self, wanted: Iterable[tuple[str, date]], today: date) -> dict[tuple[str, date], Hours]:
        """The hours of each origin and day; none where the provider has none or cannot be asked now."""
        keys = {place: f"{today}|{place[0]}|{place[1]}" for place in wanted}
        asked = {place: key for place, key in keys.items() if key not in self.known}
        fetched = dict(zip(asked, self.pool.map(self._fetch, asked, asked.values()), strict=True)) if asked else {}
        return {place: fetched[place] if place in fetched else self.known[key] for place, key in keys.items()}

    def _fetch(self, place: tuple[str, date], key: str) -> Hours:
        with diskcache.Lock(self.shared, f"lock|{key}", expire=2 * self.limits["timeout_s"]):
            hours, final = self.shared.get(key) or (None, False)
            if hours is None:
                hours, final = self._ask(place, key)
                self.shared.set(key, (hours, final), expire=None if final else self.limits["retry_s"])
        if final:
            self.known[key] = hours
        return hours

    def _ask(self, place: tuple[str, date], key: str) -> tuple[Hours, bool]:
        """The provider's answer, and whether it holds for the whole business date. The place's lock is held."""
        origin, day = place
        calls = self.shared.get(f"calls|{key}", 0)
        if calls >= self.limits["calls_per_day"]:
            return {}, True
        self.shared.set(f"calls|{key}", calls + 1)
        try:
            answer = self.http.get("/weather", params={"origin": origin, "date": day.isoformat()})
            if answer.status_code == httpx.codes.NOT_FOUND:
                return {}, True
            answer.raise_for_status()
            return dict(answer.json()["hours"]), True
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, httpx.ConnectError):
                self.shared.set(f"calls|{key}", calls)  # nobody was there to be asked
            log("weather_missing", origin=origin, date=day, reason=repr(error))
            return {}, False
