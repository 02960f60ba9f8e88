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
from delays.answers import AHEAD, answer_rows, append
from delays.config import business_date, load, log
from delays.deliveries import SOURCES
from delays.features import Known, departure
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

SETTINGS = load()
GRACE = timedelta(days=1)  # a question that was on its way while the business date moved is answered


def _dated(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("sched_dep has no offset")
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


@bentoml.service(
    workers=SETTINGS.serving["workers"],
    threads=SETTINGS.serving["threads"],
    traffic={"timeout": 30},
    logging={"access": {"enabled": False}},
)
class FlightDelay:
    """POST /predict, /readyz and /metrics. Each worker looks at alias, business date and table every `poll_s`."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.known: tuple[Any, Known] | None = None
        self.loaded = threading.Event()
        threading.Thread(target=self.follow, name="follower", daemon=True).start()

    def __is_ready__(self) -> bool:
        return self.snapshot is not None

    @bentoml.api
    def predict(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Answers in the order of the rows; none of them mixes versions or states of the table."""
        self.loaded.wait(SETTINGS.serving["patience_s"])
        if (snapshot := self.snapshot) is None:
            raise ServiceUnavailable("no model is loaded yet")
        asked = [row.model_dump() for row in rows]
        first, last = snapshot.day - GRACE, snapshot.day + AHEAD + GRACE
        for n, row in enumerate(asked):
            if not first <= departure(row["sched_dep"])[0] <= last:
                reason = f"rows.{n}.sched_dep is out of range: flights leave from {snapshot.day} to seven days after it"
                raise InvalidArgument(reason, error_code=HTTPStatus.UNPROCESSABLE_ENTITY)
        answers = answer_rows(SETTINGS, asked, snapshot.model, snapshot.day, snapshot.known)
        append(SETTINGS, asked, answers, snapshot.day)
        return answers

    def follow(self) -> None:
        """Keep the snapshot up to date for ever."""
        while True:
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001 - whatever a registry or a model does, the old snapshot serves on
                log("follow_failed", pid=os.getpid(), reason=repr(error))
            time.sleep(SETTINGS.serving["poll_s"] if self.snapshot else 0.5)

    def refresh(self) -> None:
        """Take a new snapshot where the business date, the table or the champion is another."""
        today, old = business_date(SETTINGS), self.snapshot
        stamp = (today, SETTINGS.table.stat().st_mtime_ns if SETTINGS.table.is_file() else None)
        if self.known is None or self.known[0] != stamp:
            self.known = stamp, features.known(ingest.read(SETTINGS)[0], today)
        days = [today + timedelta(days=n) for n in range(AHEAD.days + 1)]
        features.forecasts(SETTINGS, [(origin, day) for origin in SOURCES for day in days], today)
        champion = registry.champion()
        if champion is None:
            raise LookupError("the alias champion is not set")
        unchanged = old is not None and old.model.version == champion
        model = old.model if unchanged else registry.load(champion, SETTINGS.scratch / "serving" / "models")
        self.snapshot = Snapshot(today, model, self.known[1])
        self.loaded.set()
        if self.snapshot != old:
            dates = {"business_date": today, "feature_date": self.known[1].feature_date}
            log("serving_from", pid=os.getpid(), version=champion.number, **dates)
