"""Production traffic of a live attempt: the business date's real flights, a few at a time, for ever.

    python traffic.py --data PRIVATE --clock FILE --url http://127.0.0.1:3000 [--rate 1.0]

`--rate` is requests a second, each of one to four flights; some questions are asked again. It waits for serving and
outlives its errors and restarts: an attempt breaks things on purpose. Standard library only, to stay small.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from pathlib import Path
from typing import Any

TIMEOUT_S = 10.0
PAUSE_S = 2.0
"""How long it waits after an error before it asks again."""

REPEATED = 0.3
"""Share of requests that repeat an earlier one, as people do who look at their flight again."""

SAID_EVERY = 300
"""Requests between two lines of its log."""

Row = dict[str, Any]


class Flights:
    """Rows of the business date's flights, in a new random order each time round."""

    def __init__(self, data: Path, clock: Path, rng: random.Random) -> None:
        self._data, self._clock, self._rng = data, clock, rng
        self._day = ""
        self._asked = 0
        self._waiting: list[Row] = []

    def take(self, count: int) -> list[Row]:
        """The next rows, each with a row_id of its own; a moved business date starts that day's flights.

        Raises OSError when the clock or the day's file cannot be read, ValueError when the day has no flights.
        """
        today = self._clock.read_text(encoding="utf-8").strip()
        if today != self._day or not self._waiting:
            self._waiting = read_flights(self._data / "arrivals" / f"{today}.csv")
            self._rng.shuffle(self._waiting)
            self._day = today
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        if not taken:
            raise ValueError(f"no flights on {today}")
        self._asked += len(taken)
        return [{"row_id": f"live-{today}-{self._asked - n}", **row} for n, row in enumerate(taken)]


def read_flights(path: Path) -> list[Row]:
    """Flights of a day as rows without row_id and without what happened."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {
                "carrier": row["carrier"],
                "flight": int(row["flight"]),
                "origin": row["origin"],
                "dest": row["dest"],
                "sched_dep": row["sched_dep"],
            }
            for row in csv.DictReader(file)
        ]


def ask(url: str, rows: list[Row]) -> str:
    """POST the rows; returns "ok", an HTTP status, or the name of the error."""
    body = json.dumps({"rows": rows}).encode()
    request = urllib.request.Request(f"{url}/predict", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return "ok" if len(json.loads(answer.read())) == len(rows) else "wrong count"
    except urllib.error.HTTPError as error:
        return str(error.code)
    except (OSError, ValueError, TypeError, http.client.HTTPException) as error:
        return type(error).__name__


def one_request(url: str, flights: Flights, recent: deque[list[Row]], rng: random.Random) -> str:
    """One request, new or repeated; returns how it went."""
    if recent and rng.random() < REPEATED:
        return ask(url, rng.choice(recent))
    try:
        rows = flights.take(rng.randint(1, 4))
    except (OSError, ValueError, KeyError) as error:
        return type(error).__name__
    recent.append(rows)
    return ask(url, rows)


def drive(url: str, flights: Flights, rate: float, rng: random.Random) -> None:
    """Send requests as a Poisson process; never returns."""
    recent: deque[list[Row]] = deque(maxlen=50)
    went: Counter[str] = Counter()
    while True:
        outcome = one_request(url, flights, recent, rng)
        went[outcome] += 1
        if went.total() == SAID_EVERY:
            print(json.dumps({"event": "traffic", **went}), flush=True)  # noqa: T201 - a script's log
            went.clear()
        time.sleep(rng.expovariate(rate) if outcome == "ok" else PAUSE_S)


def main() -> None:
    """Run until stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=1.0)
    args = parser.parse_args()
    rng = random.Random(args.url)
    drive(args.url.rstrip("/"), Flights(args.data, args.clock, rng), args.rate, rng)


if __name__ == "__main__":
    main()
