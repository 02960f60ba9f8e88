"""The service: two workers, each with a thread that keeps clock, registry and table in view."""

import threading
import time
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import bentoml
from bentoml.exceptions import BadInput, ServiceUnavailable
from pydantic import AfterValidator, BaseModel, Field
from risk.answering import journal
from risk.answering.forecasts import Forecasts
from risk.answering.known import Known, answered, known, table_of
from risk.base import CODES, INPUTS, tell, today
from risk.landing import partitions
from risk.learning import versions

EVERY_S = 5.0


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


class View(NamedTuple):
    """What this worker answers from."""

    about: Known
    forecasts: Forecasts
    model: versions.Loaded


class Eyes:
    """Keeps the view; a part is exchanged when what it was made from is another."""

    def __init__(self) -> None:
        self.view: View | None = None
        self._about: Known | None = None
        self._forecasts: Forecasts | None = None
        self._files: Any = None

    def look(self) -> None:
        """Once. What cannot be looked at leaves the rest as it was."""
        day = today()
        if self._forecasts is None or self._forecasts.today != day:
            self._forecasts = Forecasts(day)
            self._forecasts.week()
        files = [(path, path.stat().st_mtime_ns) for path in partitions.files()]
        if self._about is None or (self._about.today, self._files) != (day, files):
            self._about, self._files = known(day), files
        if self.view is not None:
            self.view = View(self._about, self._forecasts, self.view.model)
        self._follow()

    def _follow(self) -> None:
        entry = versions.under("champion")
        if entry is None or self._about is None or self._forecasts is None:
            return
        if self.view is None or self.view.model.id != (str(entry.version), str(entry.run_id)):
            model = versions.Loaded(entry)
            nothing = dict.fromkeys(INPUTS) | dict.fromkeys(CODES, "JFK")
            model.risks(table_of([nothing]))
            self.view = View(self._about, self._forecasts, model)
            tell(event="serving", version=model.id[0])

    def keep_looking(self) -> None:
        """For ever."""
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the old view answers on
                tell(event="cannot_look", error=repr(error))
            time.sleep(EVERY_S if self.view else 0.5)


@bentoml.service(workers=2, threads=6, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Risks:
    """POST /predict."""

    def __init__(self) -> None:
        self.eyes = Eyes()
        threading.Thread(target=self.eyes.keep_looking, daemon=True).start()
        while self.eyes.view is None:  # a worker takes no connection before it can answer
            time.sleep(0.1)

    def __is_ready__(self) -> bool:
        return self.eyes.view is not None

    @bentoml.api
    def predict(self, rows: list[Question]) -> list[dict[str, Any]]:
        """An answer for each row, in order, all from one view."""
        view = self.eyes.view
        if view is None:
            raise ServiceUnavailable("no model yet")
        for row in rows:
            if not -1 <= (datetime.fromisoformat(row.sched_dep).date() - view.about.today).days <= 8:
                raise BadInput(f"sched_dep {row.sched_dep} is not within the week from {view.about.today}")
        asked = [row.model_dump() for row in rows]
        answers = answered(asked, *view)
        journal.write(view.about.today, asked, answers)
        return answers
