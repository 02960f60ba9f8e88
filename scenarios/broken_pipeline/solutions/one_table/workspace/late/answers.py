"""What is said to callers, the log of it, and corrections of what was said on a wrong distance."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from late import inputs
from late.places import MODEL, STATE, append

ASKED = ("row_id", "carrier", "flight", "origin", "dest", "sched_dep")
COLUMNS = (*ASKED, "distance_mi", "p_late", "model_version", "scored_at", "supersedes")
LOG = STATE / "predictions"
OFF_MI = 0.1


@dataclass(frozen=True)
class World:
    """All that an answer depends on."""

    book: inputs.Book
    model: Any
    forecasts: inputs.Forecasts

    def answers(self, questions: list[inputs.Question]) -> list[dict[str, Any]]:
        """What each question is answered, in order."""
        if not questions:
            return []
        rows = inputs.asked(questions, self.book, self.forecasts)
        entry = self.model.entry
        model = {"name": MODEL, "version": entry.version, "run_id": entry.run_id}
        return [
            {
                "row_id": question["row_id"],
                "p_late": float(p),
                "model": model,
                "feature_date": self.book.newest,
                "features": row,
            }
            for question, row, p in zip(questions, rows, self.model.risks(inputs.frame(rows)), strict=True)
        ]


def log(day: date, questions: Iterable[inputs.Question], answers: Iterable[dict[str, Any]]) -> None:
    """Append answers to the log of a business date; a question may say what its answer supersedes."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    for question, said in zip(questions, answers, strict=True):
        miles = said["features"]["distance_mi"]
        shown = "" if miles is None else repr(float(miles))
        about = (shown, repr(said["p_late"]), said["model"]["version"], day, question.get("supersedes", ""))
        write([*(question[name] for name in ASKED), *about])
    if text.tell():
        append(LOG / f"{day}.csv", text.getvalue(), ",".join(COLUMNS) + "\n")


def correct(day: date, world: World) -> int:
    """Answer anew what was said on another distance about flights yet to leave; returns how many."""
    affected = list(_affected(day, world.book))
    log(day, affected, world.answers(affected))
    return len(affected)


def _affected(day: date, book: inputs.Book) -> Iterator[inputs.Question]:
    """One question for each, of all logs: nothing is assumed of when a flight was asked about."""
    lines = [line for path in sorted(LOG.glob("*.csv")) for line in _read(path)]
    taken = {line["row_id"] for line in lines}
    superseded = {(line["supersedes"], *_flight(line)) for line in lines if line["supersedes"]}
    for line in lines:
        name = (line["row_id"], *_flight(line))
        now = book.miles.get((line["origin"], line["dest"]))
        if name in superseded or _leaves(line) < day or not _off(line["distance_mi"], now):
            continue
        superseded.add(name)
        fresh = _fresh(f"{line['row_id']}-corrected-{day}", taken)
        yield {**line, "flight": int(line["flight"]), "row_id": fresh, "supersedes": line["row_id"]}


def _read(path: Any) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [line for line in csv.DictReader(file) if None not in line and None not in line.values()]


def _flight(line: dict[str, str]) -> tuple[str, ...]:
    return tuple(line[name] for name in ASKED[1:])


def _leaves(line: dict[str, str]) -> date:
    try:
        return datetime.fromisoformat(line["sched_dep"]).date()
    except ValueError:  # no service of ours has answered such a line
        return date.min


def _off(logged: str, now: float | None) -> bool:
    if not logged or now is None:
        return bool(logged) != (now is not None)
    return abs(float(logged) - now) > OFF_MI


def _fresh(wanted: str, taken: set[str]) -> str:
    name, n = wanted, 1
    while name in taken:
        name, n = f"{wanted}-{n}", n + 1
    taken.add(name)
    return name
