"""The HTTP side: FastAPI, one background thread a worker, answers in files that all workers read."""

import csv
import hashlib
import io
import json
import shutil
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from app import registry, store, weather
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, ConfigDict, Field, field_validator

ANSWERS = store.VAR / "serving" / "answers"
LOOK_S = 8.0
HEADER = "row_id,carrier,flight,origin,dest,sched_dep,p_late,model_version,feature_date,scored_at\n"
ROWS = Counter("rows_answered_total", "Rows answered", ["version"])
SECONDS = Histogram("predict_seconds", "Seconds of a request")


@dataclass(frozen=True)
class World:
    """What answers depend on besides the question. `folder` keeps the answers made from it."""

    today: date
    model: registry.Model
    rates: store.Rates

    @property
    def folder(self) -> Path:
        """Where answers from this world are kept."""
        parts = (self.model.version, self.model.run_id, self.rates.day, self.rates.digest, str(self.today))
        return ANSWERS / hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


world: World | None = None


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
        if not -1 <= (at.date() - store.business_date()).days <= 8:
            raise ValueError("is not in the week that is answered for")
        return text


class Questions(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid")

    rows: list[Flight]


def look() -> None:
    """Replace the world when the champion, the partition or the business date is another."""
    global world
    today = store.business_date()
    rates = store.newest_rates(today)
    if world is not None and (world.rates, world.today) != (rates, today):
        world = World(today, world.model, rates)
    model = registry.champion(world.model if world else None)
    if model is not None and (world is None or world.model is not model):
        world = World(today, model, rates)
    if world is not None:
        _tidy(world)


def _tidy(now: World) -> None:
    """Remove answers of worlds that no worker can be in any more."""
    now.folder.mkdir(parents=True, exist_ok=True)
    (now.folder / "in_use").touch()
    for folder in ANSWERS.iterdir():
        mark = folder / "in_use"
        if mark.exists() and time.time() - mark.stat().st_mtime > 20 * LOOK_S:
            shutil.rmtree(folder, ignore_errors=True)


def _forever() -> None:
    while True:
        time.sleep(LOOK_S if world else 0.5)
        try:
            look()
        except Exception as error:  # noqa: BLE001 - the old world answers on
            print(json.dumps({"look": repr(error)}), flush=True)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """A worker takes connections once it has a model."""
    threading.Thread(target=_forever, daemon=True).start()
    while world is None:
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
    """200 once there is a model."""
    return Response(status_code=200 if world else 503)


@api.get("/metrics")
def metrics() -> Response:
    """Of all workers."""
    every = CollectorRegistry()
    MultiProcessCollector(every)
    return Response(generate_latest(every), media_type=CONTENT_TYPE_LATEST)


@api.post("/predict")
def predict(questions: Questions) -> JSONResponse:
    """Answers in the order of the rows, all from one world."""
    now = world
    if now is None:
        return JSONResponse({"refused": "no model yet"}, status_code=503)
    with SECONDS.time():
        flights = questions.rows
        departures = [datetime.fromisoformat(each.sched_dep) for each in flights]
        places = [(each.origin, at.date()) for each, at in zip(flights, departures, strict=True)]
        hours = weather.hours(now.today, set(places))
        rows = [
            _inputs(each, at, hours[place], now) for each, at, place in zip(flights, departures, places, strict=True)
        ]
        model = {"name": store.NAME, "version": now.model.version, "run_id": now.model.run_id}
        answers = [
            {"row_id": each.row_id, "p_late": p, "model": model, "feature_date": now.rates.day, "features": row}
            for each, row, p in zip(flights, rows, _risks(now, rows), strict=True)
        ]
        _log(flights, answers, now)
        ROWS.labels(now.model.version).inc(len(rows))
    return JSONResponse(answers)


def _inputs(flight: Flight, at: datetime, hours: dict[str, Any], now: World) -> dict[str, Any]:
    miles = store.distances().get((flight.origin, flight.dest))
    known = hours.get(str(at.hour), {})
    return store.features(flight.carrier, flight.origin, float(at.hour), miles, known, now.rates.of)


def _risks(now: World, rows: list[dict[str, Any]]) -> list[float]:
    """Each risk from its file, or from the model and then into its file; the name says all inputs."""
    files = [now.folder / hashlib.sha1(json.dumps(row).encode(), usedforsecurity=False).hexdigest() for row in rows]
    known = {file: _read(file) for file in files}
    new = {file: row for file, row in zip(files, rows, strict=True) if known[file] is None}
    if new:
        for file, p in zip(new, now.model.risks(list(new.values())), strict=True):
            known[file] = p
            _write(file, p)
    return [known[file] or 0.0 for file in files]


def _read(file: Path) -> float | None:
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return None


def _write(file: Path, p: float) -> None:
    try:
        store.put(file, repr(p))
    except OSError as error:  # a full disk makes it slower, not silent
        print(json.dumps({"not kept": repr(error)}), flush=True)


def _log(flights: list[Flight], answers: list[dict[str, Any]], now: World) -> None:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    for flight, said in zip(flights, answers, strict=True):
        values = (said["p_late"], now.model.version, said["feature_date"], now.today)
        lines.writerow([*flight.model_dump().values(), *values])
    store.append(store.STATE / "predictions" / f"{now.today}.csv", text.getvalue(), HEADER)
