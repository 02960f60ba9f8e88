"""Weather forecasts: each worker asks for an airport and day once, and once more where that failed."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import httpx
from riskserver.places import PROVIDER

CALLS = 2
"""Two workers may ask twice each: together the four calls that the provider allows."""
PAUSE_S = 20.0
Hours = dict[str, dict[str, Any]]
Place = tuple[date, str, date]


class Forecasts:
    """Forecasts by business date, airport and day."""

    def __init__(self) -> None:
        self._http = httpx.Client(base_url=PROVIDER, timeout=5, trust_env=False)
        self._pool = ThreadPoolExecutor(8)
        self._lock = threading.Lock()
        self._locks: dict[Place, threading.Lock] = {}
        self._known: dict[Place, Hours] = {}
        self._tries: dict[Place, int] = {}
        self._pause: dict[Place, float] = {}

    def all(self, places: Iterable[Place]) -> dict[Place, Hours]:
        """Hours by place; empty where there is no forecast now."""
        wanted = list(places)
        new = [place for place in wanted if place not in self._known]
        found = dict(zip(new, self._pool.map(self._one, new), strict=True)) if new else {}
        return {place: found[place] if place in found else self._known[place] for place in wanted}

    def _one(self, place: Place) -> Hours:
        with self._lock:
            lock = self._locks.setdefault(place, threading.Lock())
        with lock:
            if place in self._known:
                return self._known[place]
            if time.monotonic() < self._pause.get(place, 0.0):
                return {}
            return self._ask(place)

    def _ask(self, place: Place) -> Hours:
        _, origin, day = place
        try:
            answer = self._http.get("/weather", params={"origin": origin, "date": str(day)})
            self._tries[place] = self._tries.get(place, 0) + 1
            if answer.status_code != 404:
                answer.raise_for_status()
            self._known[place] = answer.json().get("hours", {})
            return self._known[place]
        except httpx.ConnectError:
            pass  # it was not asked
        except (httpx.HTTPError, ValueError):
            self._tries[place] = max(1, self._tries.get(place, 0))
        self._pause[place] = time.monotonic() + (PAUSE_S if self._tries.get(place, 0) < CALLS else 10**6)
        return {}
