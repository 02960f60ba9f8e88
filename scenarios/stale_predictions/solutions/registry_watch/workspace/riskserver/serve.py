"""The service. A request that finds what it answers from older than FRESH_S looks at registry and partitions first."""

import csv
import io
import threading
import time
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import bentoml
from bentoml.exceptions import BadInput, ServiceUnavailable
from cachetools import LRUCache
from pydantic import AfterValidator, BaseModel, Field
from riskserver import inputs, models
from riskserver.forecasts import Forecasts
from riskserver.places import MODEL, STATE, append, today

FRESH_S = 4.0
STALE_S = 12.0
"""Older than that, every request waits for the look."""
KEPT = 50_000
HEADER = "row_id,carrier,flight,origin,dest,sched_dep,p_late,model_version,feature_date,scored_at\n"


def _with_offset(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("an offset is missing")
    return text


class Question(BaseModel, extra="forbid", strict=True):
    """One flight."""

    row_id: Annotated[str, Field(min_length=1)]
    carrier: Annotated[str, Field(min_length=1)]
    flight: Annotated[int, Field(gt=0, lt=10_000)]
    origin: Literal["EWR", "JFK", "LGA"]
    dest: Annotated[str, Field(min_length=1)]
    sched_dep: Annotated[str, AfterValidator(_with_offset)]


class State(NamedTuple):
    """What a request is answered from."""

    day: date
    version: str
    run_id: str
    model: Any
    partition: inputs.Partition | None


class Current:
    """The state of this worker."""

    def __init__(self) -> None:
        self.state: State | None = None
        self._looked = float("-inf")
        self._lock = threading.Lock()

    def get(self) -> State:
        """The state, looked after where that is due. Raises ServiceUnavailable when there is none yet."""
        age = time.monotonic() - self._looked
        if age > FRESH_S and self._lock.acquire(blocking=age > STALE_S):
            try:
                if time.monotonic() - self._looked > FRESH_S:
                    self._look()
            finally:
                self._lock.release()
        if self.state is None:
            raise ServiceUnavailable("no model yet")
        return self.state

    def _look(self) -> None:
        day = today()
        partition = inputs.current_partition(day)
        if self.state is not None:
            self.state = self.state._replace(day=day, partition=partition)
        try:
            champion = models.alias()
            if champion is not None and not self._has(champion):
                model = models.load(str(champion.version))
                self.state = State(day, str(champion.version), str(champion.run_id), model, partition)
        except Exception as error:  # noqa: BLE001 - a registry that is away must not take the service with it
            print(f"registry: {error!r}", flush=True)
        self._looked = time.monotonic()

    def _has(self, entry: Any) -> bool:
        return self.state is not None and (self.state.version, self.state.run_id) == (str(entry.version), entry.run_id)


@bentoml.service(workers=2, threads=6, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Risks:
    """POST /predict."""

    def __init__(self) -> None:
        self.current = Current()
        self.forecasts = Forecasts()
        routes = inputs.feed("routes").to_dict("records")
        self.miles = {(route["origin"], route["dest"]): route["distance_mi"] for route in routes}
        self.answers: LRUCache[Any, float] = LRUCache(KEPT)
        self.lock = threading.Lock()
        threading.Thread(target=self._boot, daemon=True).start()

    def _boot(self) -> None:
        while self.current.state is None:
            try:
                self.current.get()
            except Exception as error:  # noqa: BLE001 - said, and tried again
                print(f"not ready: {error!r}", flush=True)
                self.current._looked = float("-inf")
                time.sleep(0.5)

    def __is_ready__(self) -> bool:
        return self.current.state is not None

    @bentoml.api
    def predict(self, rows: list[Question]) -> list[dict[str, Any]]:
        """An answer for each row, in order, all from one state."""
        state = self.current.get()
        departures = [datetime.fromisoformat(each.sched_dep) for each in rows]
        for each in departures:
            if not timedelta(-1) <= each.date() - state.day <= timedelta(8):
                raise BadInput(f"sched_dep {each} is not within the week from {state.day}")
        places = [(state.day, each.origin, at.date()) for each, at in zip(rows, departures, strict=True)]
        weather = self.forecasts.all(dict.fromkeys(places))
        rates = state.partition.rates if state.partition else {}
        features = []
        for each, at, place in zip(rows, departures, places, strict=True):
            hour = weather[place].get(str(at.hour), {})
            miles = self.miles.get((each.origin, each.dest))
            features.append(inputs.row(each.carrier, each.origin, at.hour, miles, hour, rates))
        dated = str(state.partition.date) if state.partition else None
        model = {"name": MODEL, "version": state.version, "run_id": state.run_id}
        answers = [
            {"row_id": each.row_id, "p_late": p, "model": model, "feature_date": dated, "features": row}
            for each, p, row in zip(rows, self._risks(state, features), features, strict=True)
        ]
        _log(rows, answers, state)
        return answers

    def _risks(self, state: State, features: list[dict[str, Any]]) -> list[float]:
        """Risks of rows: everything that makes one is its key, so nothing has to be flushed."""
        keys = [(state.version, state.run_id, *row.values()) for row in features]
        with self.lock:
            known = {key: self.answers[key] for key in keys if key in self.answers}
        new = {key: row for key, row in zip(keys, features, strict=True) if key not in known}
        if new:
            values = models.risks(state.model, inputs.table_of(list(new.values())))
            made = dict(zip(new, map(float, values), strict=True))
            with self.lock:
                self.answers.update(made)
            known |= made
        return [known[key] for key in keys]


def _log(rows: list[Question], answers: list[dict[str, Any]], state: State) -> None:
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    for each, said in zip(rows, answers, strict=True):
        asked = (each.row_id, each.carrier, each.flight, each.origin, each.dest, each.sched_dep)
        write([*asked, said["p_late"], state.version, said["feature_date"], state.day])
    append(STATE / "predictions" / f"{state.day}.csv", text.getvalue(), HEADER)
