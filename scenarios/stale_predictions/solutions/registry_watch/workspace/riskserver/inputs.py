"""Feeds, feature partitions, and the rows that the model is trained on and asked about."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from riskserver.places import FEATURES, FEEDS

LATE_MIN = 15
TRAILING = 14
VALID = 3
WEATHER = ("temp_f", "humid_pct", "wind_mph", "precip_in", "visib_mi", "pressure_mb")
TEXTS = ("carrier", "origin")
INPUTS = (*TEXTS, "hour", "distance_mi", *WEATHER, "carrier_late_rate", "origin_late_rate")
COLUMNS = {
    "arrivals": {"texts": ["carrier", "flight", "origin", "dest", "sched_dep"], "numbers": ["arr_delay_min"]},
    "weather": {"texts": ["origin"], "numbers": ["hour", *WEATHER]},
    "routes": {"texts": ["origin", "dest"], "numbers": ["distance_mi"]},
}
DAY = timedelta(days=1)


class FeedRefusedError(Exception):
    """A feed that cannot be used; `source` is its name."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(f"{source}: {why}")
        self.source = source


class Partition(NamedTuple):
    """Rates by key, and the day they belong to."""

    date: date
    rates: dict[str, float]
    digest: str


def feed(source: str, day: date | None = None) -> pd.DataFrame:
    """One delivered file with its documented columns. Raises FeedRefusedError."""
    path = FEEDS / source / f"{day}.csv" if day else FEEDS / f"{source}.csv"
    columns = COLUMNS[source]
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)[columns["texts"] + columns["numbers"]]
        for name in columns["numbers"]:
            frame[name] = pd.to_numeric(frame[name].where(frame[name] != ""))
    except (OSError, KeyError, ValueError) as error:
        raise FeedRefusedError(source, f"{path.name} cannot be used: {error!r}") from error
    if frame.empty:
        raise FeedRefusedError(source, f"{path.name} has no rows")
    return frame.astype(dict.fromkeys(columns["texts"], object)).astype(dict.fromkeys(columns["numbers"], float))


def span(source: str, first: date, last: date, gaps: int = 6) -> pd.DataFrame:
    """The feed of several days with a column `date`; up to `gaps` days may be missing."""
    frames, missing = [], 0
    for n in range((last - first).days + 1):
        try:
            frames.append(feed(source, first + n * DAY).assign(date=first + n * DAY))
        except FeedRefusedError as error:
            print(f"left out: {error}", flush=True)
            missing += 1
    if missing > gaps or not frames:
        raise FeedRefusedError(source, f"{missing} days between {first} and {last} cannot be used")
    return pd.concat(frames, ignore_index=True)


def arrived(first: date, last: date) -> pd.DataFrame:
    """Flights that arrived, with `late` 1.0 or 0.0."""
    flights = span("arrivals", first, last)
    flights = flights[flights["arr_delay_min"].notna()]
    return flights.assign(late=(flights["arr_delay_min"] > LATE_MIN).astype(float))


def rates(flights: pd.DataFrame, day: date) -> pd.DataFrame:
    """key, late_rate, flights of the 14 days up to and including `day`."""
    recent = flights[(flights["date"] > day - TRAILING * DAY) & (flights["date"] <= day)]
    parts = [recent.groupby(name)["late"].agg(["mean", "count"]).rename(index=f"{name}:{{}}".format) for name in TEXTS]
    table = pd.concat(parts).rename(columns={"mean": "late_rate", "count": "flights"})
    return table.rename_axis("key").reset_index()


def save_partition(day: date) -> None:
    """Build and write the partition of a day; the marker goes first and comes back last."""
    table = rates(arrived(day - (TRAILING - 1) * DAY, day), day)
    content = table.to_csv(index=False).encode()
    folder = FEATURES / f"date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / "_SUCCESS.json"
    if (standing := _read(folder)) is not None and standing.digest == hashlib.sha256(content).hexdigest():
        return
    marker.unlink(missing_ok=True)
    for path, data in ((folder / "part.csv", content), (marker, _marker(content, len(table)))):
        (aside := path.with_suffix(".new")).write_bytes(data)
        aside.rename(path)


def current_partition(today: date) -> Partition | None:
    """The newest complete partition of the three days before `today`."""
    days = {folder: day for folder, day in _folders() if 1 <= (today - day).days <= VALID}
    complete = [found for folder in days if (found := _read(folder)) is not None]
    return max(complete, key=lambda found: found.date, default=None)


def row(carrier: str, origin: str, hour: int, miles: float | None, weather: Mapping[str, Any], rates: Mapping[str, Any]) -> dict[str, Any]:  # fmt: skip  # noqa: E501
    """The twelve inputs of one flight."""
    return {
        "carrier": carrier,
        "origin": origin,
        "hour": float(hour),
        "distance_mi": miles,
        **{name: weather.get(name) for name in WEATHER},
        **{
            f"{kind}_late_rate": rates.get(f"{kind}:{code}")
            for kind, code in (("carrier", carrier), ("origin", origin))
        },
    }


def table_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the model wants them: object texts, doubles."""
    return pd.DataFrame(rows, columns=list(INPUTS)).astype({n: object if n in TEXTS else float for n in INPUTS})


def labelled(first: date, last: date) -> pd.DataFrame:
    """INPUTS, late and date of the flights that arrived; rates are those known the evening before."""
    flights = arrived(first - TRAILING * DAY, last)
    known = [rates(flights, day).assign(date=day + DAY) for day in sorted(set(flights["date"]))]
    trailing = pd.concat(known, ignore_index=True).set_index(["date", "key"])["late_rate"]
    flights = flights[flights["date"] >= first].copy()
    flights["hour"] = flights["sched_dep"].str[11:13].astype(float)
    flights = flights.merge(feed("routes"), how="left", on=["origin", "dest"])
    hours = span("weather", first, last).drop_duplicates(["date", "origin", "hour"])
    flights = flights.merge(hours, how="left", on=["date", "origin", "hour"])
    for name in TEXTS:
        keys = pd.MultiIndex.from_arrays([flights["date"], name + ":" + flights[name]])
        flights[f"{name}_late_rate"] = trailing.reindex(keys).to_numpy()
    inputs = table_of(flights[list(INPUTS)].to_dict("records"))
    return inputs.assign(late=flights["late"].to_numpy(), date=flights["date"].to_numpy())


def _folders() -> Iterator[tuple[Path, date]]:
    for folder in FEATURES.glob("date=*"):
        try:
            yield folder, date(*map(int, folder.name.removeprefix("date=").split("-")))
        except (TypeError, ValueError):
            continue


def _read(folder: Path) -> Partition | None:
    """A partition whose marker is there and true, else None."""
    try:
        content = (folder / "part.csv").read_bytes()
        said = json.loads((folder / "_SUCCESS.json").read_text(encoding="utf-8"))
        table = pd.read_csv(BytesIO(content), dtype={"key": str}, keep_default_na=False, float_precision="round_trip")
        if said != json.loads(_marker(content, len(table))):
            return None
        day = date(*map(int, folder.name.removeprefix("date=").split("-")))
        return Partition(day, dict(zip(table["key"], table["late_rate"].astype(float), strict=True)), said["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _marker(content: bytes, rows: int) -> bytes:
    return json.dumps({"rows": rows, "sha256": hashlib.sha256(content).hexdigest()}).encode()
