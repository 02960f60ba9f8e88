"""Reads the delivered feeds. A feed that is not as documented is refused, never guessed at."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
from delays.config import log

LATE_AFTER_MIN = 15
ARRIVALS = ["carrier", "flight", "origin", "dest", "sched_dep", "arr_delay_min"]
WEATHER = ["temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb"]


class DataRefused(Exception):
    """A feed is missing, empty or not as documented; `source` names it."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source


def read_arrivals(root: Path, day: date) -> pd.DataFrame:
    """Flights of a day (ARRIVALS) and `late`: 1.0, 0.0, or NaN for a flight that did not arrive."""
    frame = _read(root, f"arrivals/{day}.csv", ARRIVALS, ["arr_delay_min"])
    late = (frame["arr_delay_min"] > LATE_AFTER_MIN).astype(float)
    return frame.assign(late=late.where(frame["arr_delay_min"].notna()))


def read_weather(root: Path, day: date) -> pd.DataFrame:
    """Hourly weather of a day: `origin`, `hour` and WEATHER, NaN where a value is missing."""
    return _read(root, f"weather/{day}.csv", ["origin", "hour", *WEATHER], ["hour", *WEATHER])


def read_routes(root: Path) -> pd.DataFrame:
    """`origin`, `dest` and `distance_mi` of every route."""
    return _read(root, "routes.csv", ["origin", "dest", "distance_mi"], ["distance_mi"])


def read_days(
    read: Callable[[Path, date], pd.DataFrame], root: Path, first: date, last: date, missing_at_most: int
) -> pd.DataFrame:
    """All days from `first` to `last` in one frame with a column `date`.

    Days that cannot be read are left out and logged; raises DataRefused when they are more than `missing_at_most`.
    """
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    frames: list[pd.DataFrame] = []
    refused: list[DataRefused] = []
    for day in days:
        try:
            frames.append(read(root, day).assign(date=day))
        except DataRefused as error:
            log("feed_skipped", reason=error)
            refused.append(error)
    if len(refused) > missing_at_most or not frames:
        raise DataRefused(refused[0].source, f"{len(refused)} of {len(days)} days cannot be read")
    return pd.concat(frames, ignore_index=True)


def _read(root: Path, name: str, columns: list[str], numbers: list[str]) -> pd.DataFrame:
    source = name.split("/")[0].removesuffix(".csv")
    try:
        # Only an empty field is missing: "NA" is a carrier code like any other.
        frame = pd.read_csv(root / "feeds" / name, dtype=object, keep_default_na=False, na_values=[""])
        frame = frame[columns].astype(dict.fromkeys(numbers, float))
    except FileNotFoundError:
        raise DataRefused(source, f"feeds/{name} is missing") from None
    except (KeyError, ValueError) as error:  # pandas' own parser errors are ValueErrors
        raise DataRefused(source, f"feeds/{name} is not as documented ({error})") from error
    if frame.empty:
        raise DataRefused(source, f"feeds/{name} has no rows")
    return frame
