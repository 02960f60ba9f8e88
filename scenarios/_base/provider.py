"""The weather provider of a stack: forecasts from hidden files, the business date, and a log of who asked for what.

    python provider.py --port 8001 --data PRIVATE --clock FILE [--host 127.0.0.1] [--latency 0.15]

GET /healthz, /clock, /weather?origin=JFK&date=2024-07-08, and /calls[?since=SEQ]: every weather question so far as
{"seq", "origin", "date", "business_date", "status"}; `seq` counts from 1 in the order of arrival. Anybody may count.
PRIVATE/weather holds a file a day: see `read_day`. Standard library only, so that it is up within a moment.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

NAMES = ("temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb")
"""The values of a CSV file's hours."""

LATENCY_S = 0.15
"""A forecast service of a third party answers about so quickly; it makes an answer without a cache visible."""

CALLS_KEPT = 50_000

Answer = tuple[int, dict[str, Any]]


class CallLog:
    """Remembers the latest calls, numbered from 1."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[dict[str, Any]] = deque(maxlen=CALLS_KEPT)
        self._seq = 0

    def add(self, **call: Any) -> None:
        """Remember one call under the next number."""
        with self._lock:
            self._seq += 1
            self._calls.append({"seq": self._seq, **call})

    def since(self, seq: int) -> list[dict[str, Any]]:
        """The calls after number `seq`, in order."""
        with self._lock:
            return [call for call in self._calls if call["seq"] > seq]


class Provider:
    """What the endpoints answer, as status and JSON."""

    def __init__(self, data: Path, clock: Path, calls: CallLog, latency_s: float) -> None:
        self._clock_file = clock
        self._calls = calls
        self._latency_s = latency_s
        # lru_cache by file: a forecast equals what happens, so a day's file never changes
        self._day = lru_cache(maxsize=64)(lambda day: read_day(data / "weather", day))

    def healthz(self, query: dict[str, list[str]]) -> Answer:
        """Up."""
        return 200, {"status": "ok"}

    def clock(self, query: dict[str, list[str]]) -> Answer:
        """The business date."""
        return 200, {"business_date": self._today()}

    def weather(self, query: dict[str, list[str]]) -> Answer:
        """Hours of one airport and day; 400 for a question without both, 404 where there is no forecast."""
        origin, day = query.get("origin", [""])[0], query.get("date", [""])[0]
        time.sleep(self._latency_s)
        status, answer = self._forecast(origin, day)
        self._calls.add(origin=origin[:16], date=day[:32], business_date=self._today(), status=status)
        return status, answer

    def calls(self, query: dict[str, list[str]]) -> Answer:
        """The calls so far, those after `since` where it is given."""
        since = query.get("since", ["0"])[0]
        return 200, {"calls": self._calls.since(int(since) if since.isdigit() else 0)}

    def _forecast(self, origin: str, day: str) -> Answer:
        if not origin or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
            return 400, {"error": "ask with origin and date=YYYY-MM-DD"}
        try:
            forecast = self._day(date.fromisoformat(day)).get(origin)
        except (OSError, ValueError):
            forecast = None
        if forecast is None:
            return 404, {"error": f"no forecast for {origin} on {day}"}
        return 200, {"origin": origin, "date": day, **forecast}

    def _today(self) -> str:
        return self._clock_file.read_text(encoding="utf-8").strip()


def read_day(folder: Path, day: date) -> dict[str, dict[str, Any]]:
    """A day's forecasts as {origin: {"hours": {hour: {name: value or None}}}}. Raises OSError where there are none.

    They lie in `<date>.json` as they are answered (units included, where a scenario has some), or in `<date>.csv`.
    """
    whole = folder / f"{day}.json"
    if whole.is_file():
        content: dict[str, dict[str, Any]] = json.loads(whole.read_text(encoding="utf-8"))
        return content
    found: dict[str, dict[str, Any]] = {}
    with (folder / f"{day}.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            values = {name: float(row[name]) if row[name] else None for name in NAMES}
            found.setdefault(row["origin"], {"hours": {}})["hours"][str(int(float(row["hour"])))] = values
    return found


def handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    """A request handler class that asks `provider`."""
    routes: dict[str, Callable[[dict[str, list[str]]], Answer]] = {
        "/healthz": provider.healthz,
        "/clock": provider.clock,
        "/weather": provider.weather,
        "/calls": provider.calls,
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            route = routes.get(parts.path)
            try:
                status, answer = route(parse_qs(parts.query)) if route else (404, {"error": "no such path"})
            except OSError as error:  # the clock file cannot be read just now
                status, answer = 503, {"error": str(error)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: /calls is the log."""

    return Handler


class Server(ThreadingHTTPServer):
    """Threads that do not hold up the end, and a queue long enough for two stacks' workers."""

    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=LATENCY_S)
    args = parser.parse_args()
    provider = Provider(args.data, args.clock, CallLog(), args.latency)
    Server((args.host, args.port), handler(provider)).serve_forever()


if __name__ == "__main__":
    main()
