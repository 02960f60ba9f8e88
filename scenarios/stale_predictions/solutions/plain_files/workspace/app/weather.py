"""Forecasts as files: var/serving/weather/<business date>/<origin>_<day>.json, written by whoever asked first."""

import json
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from os import environ
from typing import Any

import requests
from app import store

FOLDER = store.VAR / "serving" / "weather"
CALLS = 4
AGAIN_S = 10.0
Place = tuple[str, date]
_memory: dict[tuple[date, str, date], dict[str, Any]] = {}
_pool = ThreadPoolExecutor(6)
_failed: dict[tuple[date, str, date], float] = {}


def hours(today: date, places: Collection[Place]) -> dict[Place, dict[str, Any]]:
    """Readings by hour for each airport and day; none where none are to be had."""
    missing = [place for place in places if (today, *place) not in _memory]
    fresh = dict(zip(missing, _pool.map(lambda place: _one(today, *place), missing), strict=True)) if missing else {}
    return {place: fresh.get(place) or _memory.get((today, *place), {}) for place in places}


def _one(today: date, origin: str, day: date) -> dict[str, Any]:
    key = (today, origin, day)
    if time.monotonic() < _failed.get(key, 0.0):
        return {}
    path = FOLDER / str(today) / f"{origin}_{day}.json"
    with store.locked(path.with_suffix(".lock")):
        said = json.loads(path.read_text()) if path.exists() else {"calls": 0, "hours": None}
        if said["hours"] is None and said["calls"] < CALLS:
            said = _ask(origin, day, said["calls"])
            store.put(path, json.dumps(said))
    if said["hours"] is None:
        _failed[key] = time.monotonic() + AGAIN_S
        return {}
    _memory[key] = said["hours"]
    return _memory[key]


def _ask(origin: str, day: date, calls: int) -> dict[str, Any]:
    params = {"origin": origin, "date": day.isoformat()}
    try:
        answer = requests.get(f"{environ['PROVIDER_URL']}/weather", params=params, timeout=4)
    except requests.ConnectionError:
        return {"calls": calls, "hours": None}
    except requests.RequestException:
        return {"calls": calls + 1, "hours": None}
    if answer.status_code == 404:
        return {"calls": calls + 1, "hours": {}}
    found = answer.json()["hours"] if answer.ok else None
    return {"calls": calls + 1, "hours": found}
