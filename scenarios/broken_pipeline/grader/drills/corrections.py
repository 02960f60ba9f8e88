"""Judges the log of answers before and after a night: which answers were affected, what was appended, what stood.

A logged answer is affected by the brief's definition against the stack's own table and its own log, whatever another
drill asked; that the table itself is wrong is another check's.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from harness.model import Stack

from .landed import Judged

FOLDER = "state/predictions"
COLUMNS = (
    "row_id", "carrier", "flight", "origin", "dest", "sched_dep", "distance_mi", "p_late", "model_version",
    "scored_at", "supersedes",
)  # fmt: skip
KEPT = ("carrier", "origin", "dest", "sched_dep")
TOLD = (*KEPT, "flight", "model_version", "scored_at")
OFF_MI = 0.1
"""BRIEF.md; what lies within SLACK of it is judged neither way."""

SLACK = 0.05
RISK_WITHIN = 5e-5
"""A log may round its risks to four digits."""

LINES_AT_MOST = 400_000
Routes = Mapping[tuple[str, str], frozenset[float]]


@dataclass(frozen=True)
class Line:
    """A line of the log; `file` is the day of the file that it stands in."""

    file: str
    place: int
    values: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


@dataclass(frozen=True)
class Log:
    """The log as it stood: its files as bytes, and their lines."""

    files: Mapping[str, bytes]
    lines: Sequence[Line]
    problem: str = ""


def read(stack: Stack) -> Log:
    """The log of a stack. Raises StackError where a file is out of the workspace."""
    paths = [path for path in stack.listing(FOLDER) if path.endswith(".csv")]
    return parsed({path: stack.read(path) or b"" for path in paths})


def parsed(files: Mapping[str, bytes]) -> Log:
    """The lines of a log's files."""
    lines: list[Line] = []
    for path in sorted(files):
        try:
            rows = list(csv.DictReader(io.StringIO(files[path].decode())))
        except (ValueError, csv.Error) as exc:
            return Log(files, (), f"{path} cannot be read: {str(exc)[:80]}")
        missing = [name for name in COLUMNS if rows and name not in rows[0]]
        if missing:
            return Log(files, (), f"{path} has no column {missing[0]}")
        day = path.rsplit("/", 1)[-1].removesuffix(".csv")
        texts = ({str(name): str(value or "") for name, value in row.items()} for row in rows)
        lines += [Line(day, n, row) for n, row in enumerate(texts)]
        if len(lines) > LINES_AT_MOST:
            return Log(files, (), f"the log has more than {LINES_AT_MOST} lines")
    return Log(files, lines)


@dataclass(frozen=True)
class Night:
    """A night's work on the log. `added` are the lines that were not there before; `routes` the table after it."""

    day: date
    before: Log
    after: Log
    routes: Routes

    def affected(self) -> dict[str, list[Line]]:
        """The affected answers by row id; a question that was asked twice has two lines."""
        found: dict[str, list[Line]] = {}
        for line in self._open():
            if _off(line, self.routes, SLACK):
                found.setdefault(line["row_id"], []).append(line)
        return found

    def doubtful(self) -> set[str]:
        """Row ids of answers whose distance is about as far off as is allowed."""
        near = (line for line in self._open() if _off(line, self.routes, -SLACK))
        return {line["row_id"] for line in near} - set(self.affected())

    def _open(self) -> list[Line]:
        superseded = {line["supersedes"] for line in self.before.lines if line["supersedes"]}
        return [
            line
            for line in self.before.lines
            if line["sched_dep"][:10] >= str(self.day) and line["row_id"] not in superseded
        ]

    def added(self) -> list[Line]:
        """Lines of the log after the night that were not in it before."""
        counts = Counter(_same(line) for line in self.before.lines)
        found = []
        for line in self.after.lines:
            if counts[_same(line)]:
                counts[_same(line)] -= 1
            else:
                found.append(line)
        return found


def _same(line: Line) -> tuple[str, ...]:
    return (line.file, *(line[name] for name in COLUMNS))


def _off(line: Line, routes: Routes, more: float) -> bool:
    now, logged = routes.get((line["origin"], line["dest"])), _number(line["distance_mi"])
    if logged is None or not now:
        return (logged is None) != (not now)
    return all(abs(logged - each) > OFF_MI + more for each in now)


def _number(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        return None


# --- judgements -------------------------------------------------------------------------------------------------------


def _unreadable(night: Night, asked: Sequence[str]) -> Judged | None:
    problem = night.before.problem or night.after.problem
    if problem:
        return Judged(False, f"{problem[0].upper()}{problem[1:]}.", "no log")
    logged = {line["row_id"] for line in night.before.lines}
    unlogged = [name for name in asked if name not in logged]
    if unlogged:
        sentence = f"{len(unlogged)} of {len(asked)} answers that were given are not in {FOLDER}/, first {unlogged[0]}."
        return Judged(False, sentence, f"{len(unlogged)}")
    return None


def affected_corrected(
    night: Night, asked: Sequence[str], risks: Mapping[str, tuple[str, float]], version: str = ""
) -> Judged:
    """Each affected answer is superseded by one new line of the night's log, as serving answers it now.

    `asked` are row ids that must be in the log; `risks` the version and risk of what serving says now, by row id.
    `version` is the one that corrections must name, "" where serving does not answer with the champion: that is
    another check's.
    """
    unreadable = _unreadable(night, asked)
    if unreadable:
        return unreadable
    affected = night.affected()
    if not affected:
        return Judged(False, "The distances that were delivered changed nothing that was answered before.", "none")
    taken = Counter(line["row_id"] for line in night.after.lines)
    by_row: dict[str, list[Line]] = {}
    for line in night.added():
        by_row.setdefault(line["supersedes"], []).append(line)
    wrong = []
    for name, was in affected.items():
        corrected = by_row.get(name, [])
        problem = _uncorrected(corrected, was, night, taken) or _other_answer(corrected[0], risks.get(name), version)
        if problem:
            wrong.append(f"{name} ({was[0]['origin']}-{was[0]['dest']}): {problem}")
    if wrong:
        sentence = f"{len(wrong)} of {len(affected)} affected answers are not corrected: {wrong[0]}."
        return Judged(False, sentence, f"{len(wrong)} of {len(affected)}", wrong[:60])
    sentence = f"All {len(affected)} affected answers are superseded as serving answers them now."
    return Judged(True, sentence, "0")


def _uncorrected(lines: Sequence[Line], was: Sequence[Line], night: Night, taken: Counter[str]) -> str:
    if not 1 <= len(lines) <= len(was):
        return f"{len(lines)} rows supersede it"
    line, asked = lines[0], was[0]
    if line.file != str(night.day) or line["scored_at"] != str(night.day):
        return f"it was corrected in the log of {line.file}, scored at {line['scored_at'][:20]}"
    if not line["row_id"] or taken[line["row_id"]] > 1:
        return f"the correction has row_id {line['row_id'][:40]!r}, which is not its own"
    other = [name for name in KEPT if line[name] != asked[name]]
    if _number(line["flight"]) != _number(asked["flight"]):
        other.append("flight")
    if other:
        return f"the correction says {other[0]} {line[other[0]][:30]!r}, asked was {asked[other[0]][:30]!r}"
    if _off(line, night.routes, 0.0):
        return f"the correction says distance_mi {line['distance_mi'][:20]!r}"
    return ""


def _other_answer(line: Line, now: tuple[str, float] | None, version: str) -> str:
    if version and line["model_version"] != version:
        return f"the correction says model_version {line['model_version'][:20]!r}, the champion is {version}"
    risk = _number(line["p_late"])
    if risk is None or not 0 <= risk <= 1:
        return f"the correction says p_late {line['p_late'][:20]!r}"
    if now is not None and now[0] == line["model_version"] and abs(now[1] - risk) > RISK_WITHIN:
        return f"the correction says p_late {risk:.5f}, serving {now[1]:.5f}"
    return ""


def others_untouched(night: Night) -> Judged:
    """Nothing was appended but corrections of affected answers."""
    unreadable = _unreadable(night, ())
    if unreadable:
        return unreadable
    known = set(night.affected()) | night.doubtful()
    wrong = [line for line in night.added() if line["supersedes"] not in known]
    still = len({line["row_id"] for line in night.before.lines} - known)
    if wrong:
        line = wrong[0]
        what = f"{line['row_id'][:40]} supersedes {line['supersedes'][:40] or 'nothing'}"
        sentence = f"{len(wrong)} lines were added that correct no affected answer, first {what}."
        return Judged(False, sentence, f"{len(wrong)}", [dict(each.values) for each in wrong[:60]])
    return Judged(True, f"None of {still} answers that were not affected was superseded.", "0")


def given(folder: Path, onset: date) -> list[Line]:
    """The lines of the log in a healthy site's workspace that no fault since `onset` may have changed.

    They were logged before that day and are about flights that left before it: later nights correct none of them.
    """
    files = {path.name: path.read_bytes() for path in sorted((folder / FOLDER).glob("*.csv"))}
    day = str(onset)
    return [line for line in parsed(files).lines if line.file < day and line["sched_dep"][:10] < day]


def log_kept(night: Night, given: Sequence[Line] = ()) -> Judged:
    """Every line that stood in the log stands there as it was, in its place, and so do those that were given."""
    unreadable = _unreadable(night, ())
    if unreadable:
        return unreadable
    standing = {_named(line): line for line in night.before.lines}
    lost = [line for line in given if not _still(line, standing.get(_named(line)))]
    if lost:
        first = f"{lost[0]['row_id'][:40]} of {lost[0].file}"
        sentence = f"{len(lost)} of {len(given)} lines that the log was given with do not stand in it, first {first}."
        return Judged(False, sentence, f"{len(lost)}", [dict(line.values) for line in lost[:60]])
    wrong: list[dict[str, Any]] = []
    now = {(line.file, line.place): line for line in night.after.lines}
    for line in night.before.lines:
        after = now.get((line.file, line.place))
        if after is None or _same(after) != _same(line):
            wrong.append({"before": dict(line.values), "after": dict(after.values) if after else None})
    if wrong:
        sentence = f"{len(wrong)} of {len(night.before.lines)} lines of the log changed in the night of {night.day}."
        return Judged(False, sentence, f"{len(wrong)}", wrong[:60])
    return Judged(bool(night.before.lines), f"All {len(night.before.lines)} lines of the log stand as they were.", "0")


def _named(line: Line) -> tuple[str, str, str]:
    return line.file, line["row_id"], line["supersedes"]


def _still(given: Line, now: Line | None) -> bool:
    """Whether a line says what was given; risks and distances may differ as far as two machines' do."""
    if now is None or any(given[name] != now[name] for name in TOLD):
        return False
    numbers = [(_number(given[name]), _number(now[name])) for name in ("distance_mi", "p_late")]
    return all(a == b or (a is not None and b is not None and abs(a - b) <= RISK_WITHIN) for a, b in numbers)
