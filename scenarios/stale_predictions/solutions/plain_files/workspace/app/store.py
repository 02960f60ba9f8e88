"""Everything that is kept: feeds, partitions, alerts, and the files that workers share."""

import fcntl
import hashlib
import json
import os
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
VAR = ROOT / "var"
STATE = ROOT / "state"
NAME = "flight-delay"
LATE_MIN = 15
VALID_DAYS = 3
READINGS = ["temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb"]
INPUTS = ["carrier", "origin", "hour", "distance_mi", *READINGS, "carrier_late_rate", "origin_late_rate"]
NUMBERS = INPUTS[2:]
NEEDED = {
    "arrivals": {"carrier", "flight", "origin", "dest", "sched_dep", "arr_delay_min"},
    "weather": {"origin", "hour", *READINGS},
}
ISO = re.compile(r"date=(\d{4}-\d{2}-\d{2})")


class Refused(Exception):
    """Data that cannot be used, with the name of its source."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(why)
        self.source = source


@dataclass(frozen=True)
class Rates:
    """A feature partition; the one of no day is empty."""

    day: str | None = None
    digest: str = ""
    of: dict[str, float] = field(default_factory=dict)


def business_date() -> date:
    """Today, as the scenario says."""
    return date.fromisoformat(Path(os.environ["BUSINESS_DATE_FILE"]).read_text().strip())


def delivered(source: str, day: date) -> pd.DataFrame:
    """The feed of a day, numbers as doubles. Raises Refused where it is missing, empty or has not all columns."""
    path = ROOT / "feeds" / source / f"{day}.csv"
    try:
        frame = pd.read_csv(path, dtype=object, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise Refused(source, f"{source} of {day}: {type(error).__name__}") from error
    if lacking := NEEDED[source] - set(frame.columns):
        raise Refused(source, f"{source} of {day} has no column {', '.join(sorted(lacking))}")
    if frame.empty:
        raise Refused(source, f"{source} of {day} is empty")
    try:
        return frame.assign(**{name: frame[name].astype(float) for name in _numeric(source)}, day=str(day))
    except ValueError as error:
        raise Refused(source, f"{source} of {day} has texts for numbers") from error


def days(source: str, first: date, last: date) -> pd.DataFrame:
    """The feeds of a span. A tenth of its days may be unusable."""
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    frames = []
    for day in span:
        try:
            frames.append(delivered(source, day))
        except Refused as error:
            print(f"skipped: {error}", flush=True)
    if len(frames) < 0.9 * len(span):
        raise Refused(source, f"{source}: {len(span) - len(frames)} of {len(span)} days cannot be used")
    return pd.concat(frames, ignore_index=True)


def trailing(flights: pd.DataFrame, day: date) -> pd.DataFrame:
    """key, late_rate, flights for the 14 days that end with `day`, of flights with `late`."""
    recent = flights[(flights["day"] > str(day - timedelta(days=14))) & (flights["day"] <= str(day))]
    each = [recent.groupby(kind)["late"].agg(["mean", "size"]) for kind in ("carrier", "origin")]
    table = pd.concat(each, keys=["carrier", "origin"]).reset_index(names=["kind", "code"])
    keys = table["kind"] + ":" + table["code"]
    return pd.DataFrame({"key": keys, "late_rate": table["mean"], "flights": table["size"]})


def labelled(flights: pd.DataFrame) -> pd.DataFrame:
    """Flights that arrived, with late 1.0 or 0.0."""
    flights = flights.dropna(subset=["arr_delay_min"])
    return flights.assign(late=(flights["arr_delay_min"] > LATE_MIN).astype(float))


def publish(day: date, table: pd.DataFrame) -> None:
    """A partition is built aside; the old marker goes before the new rows come."""
    folder = ROOT / "features" / f"date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    body = table.to_csv(index=False)
    digest = hashlib.sha256(body.encode()).hexdigest()
    if read_rates(folder).digest != digest:
        (folder / "_SUCCESS.json").unlink(missing_ok=True)
        put(folder / "part.csv", body)
        put(folder / "_SUCCESS.json", json.dumps({"rows": len(table), "sha256": digest}))


def newest_rates(today: date) -> Rates:
    """The latest complete partition of D-1 to D-3; an empty one when features are expired."""
    names = (path.name for path in (ROOT / "features").iterdir())
    allowed = {str(today - timedelta(days=n)) for n in range(1, VALID_DAYS + 1)}
    dated = sorted(m.group(1) for name in names if (m := ISO.fullmatch(name)) and m.group(1) in allowed)
    for day in reversed(dated):
        rates = read_rates(ROOT / "features" / f"date={day}")
        if rates.day:
            return rates
    return Rates()


def read_rates(folder: Path) -> Rates:
    """A partition, or an empty one where its marker is missing or untrue."""
    try:
        body = (folder / "part.csv").read_bytes()
        said = json.loads((folder / "_SUCCESS.json").read_bytes())
        rows = [line.rsplit(",", 2) for line in body.decode().splitlines()[1:]]
        digest = hashlib.sha256(body).hexdigest()
        if (said["rows"], said["sha256"]) != (len(rows), digest):
            return Rates()
        return Rates(folder.name[5:], digest, {key: float(rate) for key, rate, _ in rows})
    except (OSError, ValueError, KeyError, TypeError):
        return Rates()


def alert(kind: str, subject: str, why: str, window: str | None = None) -> None:
    """One more line of alerts."""
    said = {"id": f"{kind}-{uuid.uuid4().hex[:12]}", "kind": kind, "subject": subject, "window_id": window, "why": why}
    append(STATE / "alerts.jsonl", json.dumps(said) + "\n")


def append(path: Path, text: str, header: str = "") -> None:
    """Append in one write; the first one brings the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(((header if file.tell() == 0 else "") + text).encode())


def put(path: Path, text: str) -> None:
    """Write a file whole."""
    aside = path.parent / f".{path.name}-{os.getpid()}-{threading.get_ident()}"
    aside.write_text(text)
    aside.replace(path)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a lock file against other processes and threads; yields whether it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


@lru_cache(maxsize=1)
def distances() -> dict[tuple[str, str], float]:
    """Miles by origin and destination."""
    try:
        frame = pd.read_csv(ROOT / "feeds" / "routes.csv", keep_default_na=False)
        return dict(zip(zip(frame["origin"], frame["dest"], strict=True), frame["distance_mi"], strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise Refused("routes", repr(error)) from error


def _numeric(source: str) -> list[str]:
    return ["arr_delay_min"] if source == "arrivals" else ["hour", *READINGS]


def features(carrier: Any, origin: Any, hour: float, miles: float | None, weather: Any, rates: Any) -> dict[str, Any]:
    """What the model is told about a flight."""
    readings = [weather.get(name) for name in READINGS]
    late = [rates.get(f"carrier:{carrier}"), rates.get(f"origin:{origin}")]
    return dict(zip(INPUTS, [carrier, origin, hour, miles, *readings, *late], strict=True))
