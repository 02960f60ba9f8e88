"""The serving: answers from one immutable snapshot of model and features, which each worker keeps up to date."""

import csv
import fcntl
import io
import os
import threading
import time
from dataclasses import dataclass
from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal

import bentoml
import diskcache
import numpy as np
from bentoml.exceptions import InvalidArgument, ServiceUnavailable
from delays import alerts, feeds, registry
from delays.config import Settings, business_date, load, log
from delays.features import Partition, newest_valid
from delays.frame import departure, model_frame, model_row
from delays.weather import Weather
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

SETTINGS = load()
LOG_COLUMNS = [
    "row_id", "carrier", "flight", "origin", "dest", "sched_dep", "p_late", "model_version", "feature_date", "scored_at"
]  # fmt: skip
DAYS_AHEAD = 7
GRACE_DAYS = 1  # a question that was on its way while the business date moved is answered


def _dated(text: str) -> str:
    departure(text)
    return text


Code = Annotated[StrictStr, Field(min_length=1, max_length=8)]


class Row(BaseModel):
    """One flight asked about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row_id: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    carrier: Code
    flight: Annotated[StrictInt, Field(ge=1, le=9999)]
    origin: Literal["EWR", "JFK", "LGA"]
    dest: Code
    sched_dep: Annotated[StrictStr, AfterValidator(_dated)]


@dataclass(frozen=True)
class Snapshot:
    """What answers are made from: they take everything from one of these, so nothing in an answer is mixed."""

    business_date: date
    version: registry.Version
    model: Any
    partition: Partition | None

    @property
    def lineage(self) -> tuple[str, str, str | None, str | None]:
        """All of the snapshot that an answer depends on."""
        dated = self.partition.date.isoformat() if self.partition else None
        return self.version.number, self.version.run_id, dated, self.partition.sha256 if self.partition else None


class Follower:
    """Keeps a worker's snapshot up to date: asks for the alias and the partitions every `poll_s` seconds."""

    def __init__(self, settings: Settings, shared: diskcache.Cache) -> None:
        self.settings = settings
        self.shared = shared
        self.snapshot: Snapshot | None = None
        self.loaded = threading.Event()
        threading.Thread(target=self._follow, name="follower", daemon=True).start()

    def current(self) -> Snapshot:
        """The snapshot; waits for the first one. Raises ServiceUnavailable when there is none in time."""
        self.loaded.wait(self.settings.serving["boot_s"] / 2)
        if self.snapshot is None:
            raise ServiceUnavailable("no model is loaded yet")
        return self.snapshot

    def _follow(self) -> None:
        patience = time.monotonic() + self.settings.serving["boot_s"]
        while True:
            try:
                self._refresh()
            except Exception as error:  # noqa: BLE001 - whatever a registry or a model does, the old snapshot serves on
                log("follow_failed", pid=os.getpid(), reason=repr(error))
            if self.snapshot is None and time.monotonic() > patience:
                log("no_model", pid=os.getpid(), waited_s=self.settings.serving["boot_s"])
            time.sleep(self.settings.serving["poll_s"] if self.snapshot else 0.5)

    def _refresh(self) -> None:
        today = business_date(self.settings)
        partition = newest_valid(self.settings.root, today)
        self._say_expired(partition, today)
        if self.snapshot is not None:  # features move on even while the registry is away
            self._swap(Snapshot(today, self.snapshot.version, self.snapshot.model, partition))
        version = registry.champion()
        if version is None:
            log("no_champion", pid=os.getpid())
            return
        known = self.snapshot
        if known is None or (known.version.number, known.version.run_id) != (version.number, version.run_id):
            model = registry.load(version, self.settings.scratch / "serving" / "models")
            self._swap(Snapshot(today, version, model, partition))
        self.loaded.set()

    def _swap(self, new: Snapshot) -> None:
        old, self.snapshot = self.snapshot, new
        if old is None or (old.business_date, old.lineage) != (new.business_date, new.lineage):
            number, _, feature_date, _ = new.lineage
            fields = {"business_date": new.business_date, "version": number, "feature_date": feature_date}
            log("serving_from", pid=os.getpid(), **fields)

    def _say_expired(self, partition: Partition | None, today: date) -> None:
        """Alert once, by whichever worker sees it first, each time that features become expired."""
        name = f"expired|{today}"
        if partition is not None:
            self.shared.delete(name)
        elif self.shared.add(name, True):
            alerts.say(self.settings, "features_expired", "features", f"no valid partition on {today}")


@bentoml.service(
    workers=SETTINGS.serving["workers"],
    threads=SETTINGS.serving["threads"],
    traffic={"timeout": 30},
    logging={"access": {"enabled": False}},
)
class FlightDelay:
    """POST /predict, /readyz and /metrics."""

    def __init__(self) -> None:
        scratch = SETTINGS.scratch / "serving"
        size = SETTINGS.serving["answer_cache_mb"] * 2**20
        self.shared = diskcache.Cache(str(scratch / "shared"), disk=diskcache.JSONDisk)
        self.answers = diskcache.Cache(str(scratch / "answers"), disk=diskcache.JSONDisk, size_limit=size)
        self.weather = Weather(SETTINGS, self.shared)
        routes = feeds.read_routes(SETTINGS.root)
        self.distances = routes.dropna().set_index(["origin", "dest"])["distance_mi"].to_dict()
        self.follower = Follower(SETTINGS, self.shared)

    def __is_ready__(self) -> bool:
        return self.follower.snapshot is not None

    @bentoml.api
    def predict(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Answers in the order of the rows; none of them mixes versions or feature dates."""
        snapshot = self.follower.current()
        asked = [(row, *departure(row.sched_dep)) for row in rows]
        _check_days(asked, snapshot.business_date)
        places = {(row.origin, day) for row, day, _ in asked}
        weather = self.weather.hours(places, snapshot.business_date)
        inputs: dict[str, dict[str, Any]] = {}
        keys = []
        for row, day, hour in asked:
            distance = self.distances.get((row.origin, row.dest))
            of_hour = weather[row.origin, day].get(str(hour), {})
            key = answer_key(snapshot, row, distance, of_hour)
            inputs[key] = model_row(row.carrier, row.origin, hour, distance, of_hour, snapshot.partition)
            keys.append(key)
        known = self._answers(snapshot, inputs)
        answers = [{"row_id": row.row_id, **known[key]} for row, key in zip(rows, keys, strict=True)]
        append_log(SETTINGS, snapshot, rows, answers)
        return answers

    def _answers(self, snapshot: Snapshot, inputs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Answers by key, from the cache or from one call of the model."""
        known = {key: self.answers.get(key) for key in inputs}
        new = [key for key, answer in known.items() if answer is None]
        if not new:
            return known
        risks = np.asarray(snapshot.model.predict(model_frame([inputs[key] for key in new])))[:, 1]
        number, run_id, feature_date, _ = snapshot.lineage
        model = {"name": registry.NAME, "version": number, "run_id": run_id}
        with self.answers.transact():
            for key, risk in zip(new, risks, strict=True):
                said = {"p_late": float(risk), "model": model, "feature_date": feature_date, "features": inputs[key]}
                self.answers.set(key, said)
                known[key] = said
        return known


def answer_key(snapshot: Snapshot, row: Row, distance: float | None, weather: dict[str, Any]) -> str:
    """Everything that makes an answer: model, features, the flight with its departure, and its weather."""
    flight = (row.carrier, row.flight, row.origin, row.dest, row.sched_dep)
    measured = tuple(weather.get(name) for name in feeds.WEATHER)
    return repr((snapshot.lineage, flight, distance, measured))


def append_log(settings: Settings, snapshot: Snapshot, rows: list[Row], answers: list[dict[str, Any]]) -> None:
    """Append answers to the business date's log; the lock keeps the header first whichever worker comes first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row, said in zip(rows, answers, strict=True):
        flight = (row.row_id, row.carrier, row.flight, row.origin, row.dest, row.sched_dep)
        model = said["model"]["version"]
        writer.writerow((*flight, said["p_late"], model, said["feature_date"], snapshot.business_date))
    folder = settings.state / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{snapshot.business_date}.csv").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        header = "" if os.fstat(file.fileno()).st_size else ",".join(LOG_COLUMNS) + "\n"
        file.write((header + text.getvalue()).encode())


def _check_days(asked: list[tuple[Row, date, int]], today: date) -> None:
    first, last = today - timedelta(days=GRACE_DAYS), today + timedelta(days=DAYS_AHEAD + GRACE_DAYS)
    for n, (_, day, _) in enumerate(asked):
        if not first <= day <= last:
            reason = f"rows.{n}.sched_dep: {day} is out of range, flights leave from {today} to seven days after it"
            raise InvalidArgument(reason, error_code=HTTPStatus.UNPROCESSABLE_ENTITY)
