"""The twelve inputs, for training and for questions, from what is known when a question is asked."""

import os
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import requests

from late import table
from late.places import DAY, INPUTS, SOURCES, TEXTS, WEATHER, say
from late.units import READINGS, UNITS

RATE_DAYS = 14
AGAIN_S = 5.0
"""A forecast that could not be had is asked for again after so long."""

Question = dict[str, Any]
Hours = dict[str, dict[str, float | None]]
Place = tuple[date, str, date]


def examples(flights: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """Key, inputs and `late` of the flights of `first` to `last` that arrived; `flights` has 14 days more."""
    known = table.arrived(flights)
    parts = []
    for n in range((last - first).days + 1):
        day = first + n * DAY
        rows, rates = known[known["date"] == str(day)], _rates(known, day)
        parts.append(rows.assign(**{f"{kind}_late_rate": rows[kind].map(rates[kind]) for kind in TEXTS}))
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(hour=rows["sched_dep"].str[11:13].astype(float))
    return as_asked(rows[["date", "flight", *INPUTS, "late"]])


def as_asked(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts as objects, numbers as doubles: what every model of the contract takes."""
    return frame.astype({name: object if name in TEXTS else float for name in INPUTS})


def _rates(known: pd.DataFrame, day: date) -> dict[str, Any]:
    """Share of late flights of the 14 days before `day`, by carrier and by origin."""
    recent = known[(known["date"] >= str(day - RATE_DAYS * DAY)) & (known["date"] < str(day))]
    return {kind: recent.groupby(kind)["late"].mean().to_dict() for kind in TEXTS}


@dataclass(frozen=True)
class Book:
    """What the table says on a business date."""

    day: date
    newest: str | None
    rates: Mapping[str, Mapping[str, float]]
    miles: Mapping[tuple[str, str], float]


def book(day: date) -> Book:
    """Read the table for the questions of a business date; its rows of that date and later are not known yet."""
    rows = table.read(last=day - DAY)
    newest = rows.sort_values(["date", "sched_dep"], kind="stable").drop_duplicates(["origin", "dest"], keep="last")
    miles = dict(zip(zip(newest["origin"], newest["dest"], strict=True), newest["distance_mi"], strict=True))
    last = str(rows["date"].max()) if len(rows) else None
    return Book(day, last, _rates(table.arrived(rows), day), miles)


class Forecasts:
    """The provider's forecasts in canonical units, each asked for once a business date."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(8)
        self._lock = threading.Lock()
        self._locks: dict[Place, threading.Lock] = {}
        self._known: dict[Place, Hours] = {}
        self._again: dict[Place, float] = {}

    def ahead(self, day: date) -> None:
        """Ask for the week that questions are about, and forget other business dates."""
        with self._lock:
            for kept in (self._known, self._again, self._locks):
                for place in [place for place in kept if place[0] < day - DAY]:
                    del kept[place]
        self.of({(day, source, day + n * DAY) for source in SOURCES for n in range(8)})

    def of(self, places: Iterable[Place]) -> dict[Place, Hours]:
        """Hours by place: business date, origin, day of departure. Empty where there is no forecast to be had."""
        wanted = list(places)
        asked = [place for place in wanted if place not in self._known]
        found = dict(zip(asked, self._pool.map(self._one, asked), strict=True)) if asked else {}
        return {place: found[place] if place in found else self._known.get(place, {}) for place in wanted}

    def _one(self, place: Place) -> Hours:
        with self._lock:
            lock = self._locks.setdefault(place, threading.Lock())
        with lock:
            if place in self._known or time.monotonic() < self._again.get(place, 0.0):
                return self._known.get(place, {})
            try:
                self._known[place] = _ask(place)
            except (requests.RequestException, ValueError, KeyError, TypeError) as error:
                say("no_forecast", place=place, error=repr(error))
                self._again[place] = time.monotonic() + AGAIN_S
            return self._known.get(place, {})


def _ask(place: Place) -> Hours:
    _, origin, day = place
    params = {"origin": origin, "date": str(day)}
    answer = requests.get(f"{os.environ['PROVIDER_URL']}/weather", params=params, timeout=5)
    if answer.status_code == 404:
        return {}
    answer.raise_for_status()
    said = answer.json()
    converts = {theirs: UNITS[theirs][{"humid": "%", **said["units"]}[theirs]] for theirs in READINGS}
    return {
        hour: {READINGS[name]: None if (x := values.get(name)) is None else to(x) for name, to in converts.items()}
        for hour, values in said["hours"].items()
    }


def asked(questions: list[Question], known: Book, forecasts: Forecasts) -> list[dict[str, Any]]:
    """The inputs of each question, None where missing."""
    departures = [datetime.fromisoformat(each["sched_dep"]) for each in questions]
    places = [(known.day, each["origin"], at.date()) for each, at in zip(questions, departures, strict=True)]
    hours = forecasts.of(set(places))
    rows = []
    for each, at, place in zip(questions, departures, places, strict=True):
        weather = hours[place].get(str(at.hour), {})
        rows.append(
            {
                "carrier": each["carrier"],
                "origin": each["origin"],
                "hour": float(at.hour),
                "distance_mi": known.miles.get((each["origin"], each["dest"])),
                **{name: weather.get(name) for name in WEATHER},
                **{f"{kind}_late_rate": known.rates[kind].get(each[kind]) for kind in TEXTS},
            }
        )
    return rows


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of inputs as a model takes them."""
    kinds = dict.fromkeys(TEXTS, object)
    return pd.DataFrame({n: np.array([row[n] for row in rows], dtype=kinds.get(n, float)) for n in INPUTS})
