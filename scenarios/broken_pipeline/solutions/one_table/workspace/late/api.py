"""The HTTP side: FastAPI; one thread a worker looks at clock, registry and table."""

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, ConfigDict, Field, field_validator

from late import answers, inputs, models, table
from late.places import business_date, say

LOOK_S = 4.0
BOOT_LOOK_S = 0.5
ROWS = Counter("rows_answered_total", "Rows answered", ["version"])
SECONDS = Histogram("predict_seconds", "Seconds of a request")


class Flight(BaseModel):
    """A row of a question."""

    model_config = ConfigDict(extra="forbid", strict=True)

    row_id: str = Field(min_length=1)
    carrier: str = Field(min_length=1)
    flight: int = Field(ge=1, le=9999)
    origin: Literal["EWR", "JFK", "LGA"]
    dest: str = Field(min_length=1)
    sched_dep: str

    @field_validator("sched_dep")
    @classmethod
    def _departs(cls, text: str) -> str:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("has no offset")
        if not -1 <= (at.date() - business_date()).days <= 8:
            raise ValueError("is not in the week that is answered for")
        return text


class Questions(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid")

    rows: list[Flight]


class Looker:
    """Keeps this worker's world: a new one whenever the clock, the champion or the table is another."""

    def __init__(self) -> None:
        self.world: answers.World | None = None
        self._forecasts = inputs.Forecasts()
        self._mark: Any = None

    def look(self) -> None:
        """Raises whatever hinders; the world stands until the next one is whole."""
        day, mark = business_date(), table.mark()
        world = self.world
        book = world.book if world and (world.book.day, self._mark) == (day, mark) else inputs.book(day)
        if world is None or world.book.day != day:
            self._forecasts.ahead(day)
        if world is not None and book is not world.book:
            self.world = world = replace(world, book=book)
        entry = models.champion()
        if entry is not None and (world is None or world.model.entry != entry):
            fresh = answers.World(book, models.Model(entry), self._forecasts)
            fresh.model.risks(inputs.frame([dict.fromkeys(inputs.INPUTS) | {"carrier": "", "origin": "JFK"}]))
            self.world = fresh
        self._mark = mark

    def forever(self) -> None:
        """Look again and again."""
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the old world answers on
                say("cannot_look", error=repr(error))
            time.sleep(LOOK_S if self.world else BOOT_LOOK_S)


looker = Looker()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """A worker takes connections once it can answer."""
    threading.Thread(target=looker.forever, daemon=True).start()
    while looker.world is None:
        time.sleep(0.1)
    yield


api = FastAPI(lifespan=lifespan, openapi_url=None)


@api.exception_handler(RequestValidationError)
async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
    """Where and what, without the input."""
    said = [{"field": ".".join(map(str, each["loc"])), "problem": each["msg"]} for each in error.errors()[:20]]
    return JSONResponse({"refused": said}, status_code=422)


@api.get("/readyz")
def readyz() -> Response:
    """200 once there is a world."""
    return Response(status_code=200 if looker.world else 503)


@api.get("/metrics")
def metrics() -> Response:
    """Of all workers."""
    every = CollectorRegistry()
    MultiProcessCollector(every)
    return Response(generate_latest(every), media_type=CONTENT_TYPE_LATEST)


@api.post("/predict")
def predict(questions: Questions) -> JSONResponse:
    """Answers in the order of the rows, all from one world."""
    world = looker.world
    if world is None:
        return JSONResponse({"refused": "no model yet"}, status_code=503)
    with SECONDS.time():
        rows = [flight.model_dump() for flight in questions.rows]
        said = world.answers(rows)
        answers.log(world.book.day, rows, said)
        ROWS.labels(world.model.entry.version).inc(len(rows))
    return JSONResponse(said)
