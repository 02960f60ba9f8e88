"""The serving: answers from one immutable snapshot of model and table, which each worker keeps up to date."""

import os
import threading
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal

import bentoml
from bentoml.exceptions import InvalidArgument, ServiceUnavailable
from delays import features, ingest, registry
from delays.answers import DAYS_AHEAD, GRACE_DAYS, answer_rows, append
from delays.config import business_date, load, log
from delays.deliveries import SOURCES
from delays.features import Known, departure
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

SETTINGS = load()


def _dated(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("sched_dep has no offset")
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

    day: date
    model: registry.Model
    known: Known


class Follower:
    """Keeps a worker's snapshot up to date: looks at alias, business date and table every `poll_s` seconds."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.loaded = threading.Event()
        self._read: tuple[Any, Known] | None = None
        threading.Thread(target=self._follow, name="follower", daemon=True).start()

    def current(self) -> Snapshot:
        """The snapshot; waits for the first one. Raises ServiceUnavailable when there is none in time."""
        self.loaded.wait(SETTINGS.serving["boot_s"] / 2)
        if self.snapshot is None:
            raise ServiceUnavailable("no model is loaded yet")
        return self.snapshot

    def _follow(self) -> None:
        patience = time.monotonic() + SETTINGS.serving["boot_s"]
        while True:
            try:
                self._refresh()
            except Exception as error:  # noqa: BLE001 - whatever a registry or a model does, the old snapshot serves on
                log("follow_failed", pid=os.getpid(), reason=repr(error))
            if self.snapshot is None and time.monotonic() > patience:
                log("no_model", pid=os.getpid(), waited_s=SETTINGS.serving["boot_s"])
            time.sleep(SETTINGS.serving["poll_s"] if self.snapshot else 0.5)

    def _refresh(self) -> None:
        today = business_date(SETTINGS)
        known = self._known(today)
        _fetch_forecasts(today)
        if self.snapshot is not None:  # the table moves on even while the registry is away
            self._swap(Snapshot(today, self.snapshot.model, known))
        version = registry.champion()
        if version is None:
            log("no_champion", pid=os.getpid())
            return
        serving = self.snapshot.model.version if self.snapshot else None
        if serving is None or (serving.number, serving.run_id) != (version.number, version.run_id):
            model = registry.load(version, SETTINGS.scratch / "serving" / "models")
            self._swap(Snapshot(today, model, known))
        self.loaded.set()

    def _known(self, today: date) -> Known:
        """What the table says; read anew when it or the business date is another."""
        stamp = SETTINGS.table.stat() if SETTINGS.table.exists() else None
        now = (today, stamp and (stamp.st_mtime_ns, stamp.st_ino, stamp.st_size))
        if self._read is None or self._read[0] != now:
            self._read = now, features.known(ingest.read(SETTINGS)[0], today)
        return self._read[1]

    def _swap(self, new: Snapshot) -> None:
        old, self.snapshot = self.snapshot, new
        if old is None or (old.day, old.model, old.known) != (new.day, new.model, new.known):
            number, feature_date = new.model.version.number, new.known.feature_date
            log("serving_from", pid=os.getpid(), business_date=new.day, version=number, feature_date=feature_date)


@bentoml.service(
    workers=SETTINGS.serving["workers"],
    threads=SETTINGS.serving["threads"],
    traffic={"timeout": 30},
    logging={"access": {"enabled": False}},
)
class FlightDelay:
    """POST /predict, /readyz and /metrics."""

    def __init__(self) -> None:
        self.follower = Follower()

    def __is_ready__(self) -> bool:
        return self.follower.snapshot is not None

    @bentoml.api
    def predict(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Answers in the order of the rows; none of them mixes versions or states of the table."""
        snapshot = self.follower.current()
        asked = [row.model_dump() for row in rows]
        _check_days(asked, snapshot.day)
        answers = answer_rows(SETTINGS, asked, snapshot.model, snapshot.day, snapshot.known)
        append(SETTINGS, asked, answers, snapshot.day)
        return answers


def _fetch_forecasts(today: date) -> None:
    """Have the forecasts before anybody asks for them."""
    days = [today + timedelta(days=n) for n in range(DAYS_AHEAD + 1)]
    features.forecasts(SETTINGS, [(origin, day) for origin in SOURCES for day in days], today)


def _check_days(asked: list[dict[str, Any]], today: date) -> None:
    first, last = today - timedelta(days=GRACE_DAYS), today + timedelta(days=DAYS_AHEAD + GRACE_DAYS)
    for n, row in enumerate(asked):
        day, _ = departure(row["sched_dep"])
        if not first <= day <= last:
            reason = f"rows.{n}.sched_dep: {day} is out of range, flights leave from {today} to seven days after it"
            raise InvalidArgument(reason, error_code=HTTPStatus.UNPROCESSABLE_ENTITY)
