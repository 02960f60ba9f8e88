"""The workspace of broken_pipeline under test: where it lies, deliveries written by hand, what it says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from harness import scenario as scenarios

SCENARIO = scenarios.find("broken_pipeline")
WORKSPACE = SCENARIO.folder / "workspace"
PROVIDER = SCENARIO.folder.parent / "_base" / "provider.py"
DAY = date(2024, 7, 9)
USUAL = {"temp": "F", "humid": "%", "wind": "mph", "precip": "in", "visib": "mi", "pressure": "mb", "distance": "mi"}
METRIC = {"temp": "C", "humid": "%", "wind": "m/s", "precip": "mm", "visib": "km", "pressure": "hPa", "distance": "km"}
KM = 1.609344
IN_METRIC: Mapping[str, Callable[[Any], Any]] = {
    "temp": lambda f: (f - 32) / 1.8,
    "wind": lambda mph: mph * KM / 3.6,
    "precip": lambda inches: inches * 25.4,
    "visib": lambda mi: mi * KM,
    "distance": lambda mi: mi * KM,
}


def flights(count: int = 60, first: int = 1, day: date = DAY, **columns: Any) -> pd.DataFrame:
    """Flights as delivered, one every quarter of an hour from 05:00 on."""
    numbers = np.arange(first, first + count)
    minutes = [300 + 15 * (n % 72) for n in range(count)]
    frame = pd.DataFrame(
        {
            "carrier": "NA",
            "flight": numbers,
            "dest": np.where(numbers % 2, "AAA", "BBB"),
            "sched_dep": [f"{day}T{m // 60:02d}:{m % 60:02d}:00-04:00" for m in minutes],
            "distance": np.where(numbers % 2, 500.0, 1200.5),
            "dep_delay": 5.0,
            "air_time": 90.0,
            "arr_delay": np.where(numbers % 7, -3.0, 75.0),
        }
    )
    return frame.assign(**columns)


def weather(**columns: Any) -> pd.DataFrame:
    """A day's weather as delivered: every hour another temperature."""
    hours = np.arange(24)
    frame = pd.DataFrame(
        {"hour": hours, "temp": 50.0 + hours, "humid": 60.0, "wind": 10.0, "precip": 0.0, "visib": 10.0}
    )
    return frame.assign(pressure=1012.0).assign(**columns)


def deliver(
    root: Path,
    flown: pd.DataFrame | None,
    sky: pd.DataFrame | None,
    number: int = 1,
    source: str = "JFK",
    day: date = DAY,
    units: Mapping[str, str] = USUAL,
    **lies: Any,
) -> None:
    """Write a delivery; `lies` are put into both parts of the manifest."""
    folder = root / "feeds" / source / str(day)
    folder.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {"source": source, "date": str(day), "delivery": number}
    for part, frame in (("flights", flown), ("weather", sky)):
        if frame is None:
            continue
        content = frame.to_csv(index=False, lineterminator="\n").encode()
        (folder / f"{number}.{part}.csv").write_bytes(content)
        named = {name: unit for name, unit in units.items() if name in frame}
        said = {"file": f"{number}.{part}.csv", "rows": len(frame), "sha256": hashlib.sha256(content).hexdigest()}
        manifest[part] = {**said, "units": named, **lies}
    (folder / f"{number}.json").write_text(json.dumps(manifest))


def land(delays: SimpleNamespace, settings: Any, day: date = DAY + timedelta(days=1)) -> pd.DataFrame:
    """The table after landing on `day`."""
    table: pd.DataFrame = delays.ingest.land(settings, day)
    return table


def alerts(settings: Any) -> list[tuple[str, str]]:
    """Kind and subject of every alert."""
    path = settings.state / "alerts.jsonl"
    said = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return [(alert["kind"], alert["subject"]) for alert in said]


def record(settings: Any, source: str = "JFK", day: date = DAY) -> dict[str, Any]:
    """The quarantine record of a source's day, {} where there is none."""
    path = settings.root / "quarantine" / source / f"{day}.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}
