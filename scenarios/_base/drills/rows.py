"""Questions: rows about hidden flights that nobody has asked before, and the checks of single answers.

A flight's number is no input of the model, so drills give flights numbers of their own: a question is then new to any
cache, and an answer that was looked up by flight is wrong.
"""

from __future__ import annotations

import csv
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.http import ask, ask_raw

Row = dict[str, Any]

AGREE = 1e-6
"""Largest difference of two right answers (BRIEF.md)."""

NUMBERS = 2400
"""Flight numbers of one lane; four lanes stay below 9999. Each carrier uses them in turn: none comes twice in a run."""

TOGETHER = 8
"""Requests under way at once where rows are asked one by one."""

RATES = ("carrier_late_rate", "origin_late_rate")


@dataclass(frozen=True)
class Flight:
    """A flight of the hidden days. `late` is 1, 0, or None for one that did not arrive."""

    carrier: str
    origin: str
    dest: str
    sched_dep: str
    late: int | None

    @property
    def day(self) -> date:
        """The day of departure as written."""
        return date.fromisoformat(self.sched_dep[:10])


def read_flights(private: Path, first: date, days: int, late_after_min: int) -> list[Flight]:
    """The hidden flights of `days` days from `first` on. Raises FileNotFoundError for a day that is not there."""
    flights: list[Flight] = []
    for n in range(days):
        path = private / "arrivals" / f"{first + timedelta(days=n)}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            flights += [_flight(line, late_after_min) for line in csv.DictReader(file)]
    return flights


def _flight(line: Mapping[str, str], late_after_min: int) -> Flight:
    delay = line["arr_delay_min"]
    late = None if delay == "" else int(float(delay) > late_after_min)
    return Flight(line["carrier"], line["origin"], line["dest"], line["sched_dep"], late)


class Questions:
    """Makes rows that were never asked before. Lanes share no flight number; a lane may be used by many threads."""

    def __init__(self, flights: Sequence[Flight], seed: str, lane: int) -> None:
        self._flights = flights
        self._random = random.Random(f"{seed}/questions {lane}")
        self._lane = lane
        self._count: Counter[str] = Counter()
        self._lock = threading.Lock()

    def fresh(self, n: int, first: date, last: date) -> list[Row]:
        """n new rows that leave between two days, both included."""
        pool = [flight for flight in self._flights if first <= flight.day <= last]
        with self._lock:
            return [self._row(self._random.choice(pool), vary=True) for _ in range(n)]

    def about(self, flights: Iterable[Flight]) -> list[Row]:
        """A new row for each flight, with its departure as it is."""
        with self._lock:
            return [self._row(flight, vary=False) for flight in flights]

    def moved(self, n: int, to: date) -> list[Row]:
        """n new rows that leave on a day for which there are no flights, or no weather."""
        with self._lock:
            rows = [self._row(self._random.choice(self._flights), vary=True) for _ in range(n)]
        return [row | {"sched_dep": f"{to}{row['sched_dep'][10:]}"} for row in rows]

    def twins(self, rows: Iterable[Row]) -> list[Row]:
        """The same questions under new flight numbers: they have the same answers, and no cache has seen them."""
        with self._lock:
            return [row | self._named(row["carrier"]) for row in rows]

    def _row(self, flight: Flight, *, vary: bool) -> Row:
        departure = flight.sched_dep
        if vary:  # another minute of the same hour: the hour is what the model sees
            departure = f"{departure[:14]}{self._random.randrange(60):02d}{departure[16:]}"
        place = {"origin": flight.origin, "dest": flight.dest, "sched_dep": departure}
        return {"carrier": flight.carrier, **place, **self._named(flight.carrier)}

    def _named(self, carrier: str) -> Row:
        """A row id and a flight number of the carrier that no row has had."""
        count = self._count[carrier]
        self._count[carrier] += 1
        return {"row_id": f"q{self._lane}-{carrier}-{count}", "flight": 1 + self._lane * NUMBERS + count % NUMBERS}


def at_another_hour(row: Row) -> Row:
    """The same flight on the same day, six hours earlier or later."""
    departure = row["sched_dep"]
    hour = int(departure[11:13])
    return row | {"row_id": f"{row['row_id']}h", "sched_dep": f"{departure[:11]}{(hour + 6) % 24:02d}{departure[13:]}"}


def ask_each(stack: Stack, rows: Sequence[Row], *, timeout: float = 5.0) -> list[Answer]:
    """Ask each row alone on a connection of its own, some at once; answers in order. Raises as `ask` does."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(lambda row: ask(stack, [row], timeout=timeout)[0], rows))


# --- what is wrong with an answer ------------------------------------------------------------------------------------


def differing(candidate: Sequence[Answer], reference: Sequence[Answer]) -> list[str]:
    """A line for each pair of answers whose p_late differs by more than AGREE."""
    pairs = zip(candidate, reference, strict=True)
    return [
        f"{mine.row_id}: {mine.p_late:.6f} where {theirs.p_late:.6f} is right"
        for mine, theirs in pairs
        if abs(mine.p_late - theirs.p_late) > AGREE
    ]


def wrong_features(candidate: Sequence[Answer], reference: Sequence[Answer]) -> list[str]:
    """A line for each echoed feature that is not the reference's."""
    found = []
    for mine, theirs in zip(candidate, reference, strict=True):
        for name, right in theirs.features.items():
            said = mine.features.get(name, "nothing")
            if not _same(said, right):
                found.append(f"{mine.row_id}: {name} is {said} where {right} is right")
    return found


def _same(said: str | float | None, right: str | float | None) -> bool:
    if isinstance(said, float | int) and isinstance(right, float | int):
        return abs(said - right) <= AGREE * max(1.0, abs(right))
    return said == right


# --- malformed rows --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A question with a bad or an odd row. `names` is the field that a refusal must name, "" where any 4xx will do."""

    what: str
    rows: tuple[Any, ...]
    refused: bool
    names: str = ""


def cases(good: Row, no_weather: Row | None) -> list[Case]:
    """Malformed rows made from a good one, and odd ones that must be answered."""

    def bad(what: str, field: str, **changes: Any) -> Case:
        return Case(what, (good | changes,), True, field)

    def without(field: str) -> Case:
        return Case(f"no {field}", ({name: value for name, value in good.items() if name != field},), True, field)

    found = [
        without("sched_dep"),
        without("carrier"),
        without("flight"),
        bad("an origin that is none of the three", "origin", origin="BOS"),
        bad("text for flight", "flight", flight="twelve"),
        bad("a negative flight", "flight", flight=-7),
        bad("NaN for flight", "", flight=float("nan")),  # no JSON at all: a parser may not get to the field
        bad("a number for carrier", "carrier", carrier=12),
        bad("no offset", "sched_dep", sched_dep=good["sched_dep"][:19]),
        bad("no date", "sched_dep", sched_dep="tomorrow"),
        bad("an unknown field", "altitude", altitude=3),
        Case("a bad row behind a good one", (good, good | {"origin": None}), True, "origin"),
        Case("an unknown carrier", (good | {"carrier": "7Q"},), False),
        Case("an unknown destination", (good | {"dest": "QQQ"},), False),
    ]
    if no_weather is not None:
        found.append(Case("no weather", (no_weather,), False))
    return found


Hours = Callable[[str, str], set[int]]
"""By airport and ISO day: the hours for which the provider has weather."""


def row_without_weather(questions: Questions, first: date, last: date, hours: Hours) -> Row | None:
    """A new row about an hour that has no weather, between two days; None where every hour has some."""
    for row in questions.fresh(40, first, last):
        day, hour = row["sched_dep"][:10], int(row["sched_dep"][11:13])
        missing = sorted(set(range(24)) - hours(row["origin"], day), key=lambda each: abs(each - hour))
        if missing:
            return row | {"sched_dep": f"{row['sched_dep'][:11]}{missing[0]:02d}{row['sched_dep'][13:]}"}
    return None


def refusals(stack: Stack, asked: Sequence[Case]) -> tuple[list[str], list[dict[str, Any]]]:
    """Ask every case; what is wrong, one sentence each, and all answers as evidence."""
    wrong, answers = [], []
    for case in asked:
        status, text = ask_raw(stack, case.rows)
        answers.append({"case": case.what, "status": status, "answer": text[:600]})
        problem = _problem(case, status, text)
        if problem:
            wrong.append(f"{case.what}: {problem}")
    return wrong, answers


def _problem(case: Case, status: int, text: str) -> str:
    if not case.refused:
        return "" if status == 200 else f"status {status}, where an answer is due"
    if not 400 <= status < 500:
        return f"status {status}, where a 4xx is due"
    return "" if case.names in text else f"the {status} does not name {case.names}"


def bad_rows(asked: Sequence[Case], save: Callable[[str, Any], str]) -> Callable[[Stack], Finding]:
    """The probe of bad_rows_refused."""

    def probe(stack: Stack) -> Finding:
        wrong, answers = refusals(stack, asked)
        evidence = (save(f"bad_rows/{stack.name}.json", answers),)
        if wrong:
            return Finding(False, f"{len(wrong)} of {len(asked)} cases: {wrong[0]}.", f"{len(wrong)}", evidence)
        return Finding(True, f"All {len(asked)} cases are answered as the brief says.", "0", evidence)

    return probe
