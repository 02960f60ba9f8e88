"""Judges answers: echoed weather, missing values, other offsets, single against batch, and a model's own risks.

Echoes are held against the provider and the stack's own table, risks against the grader's model on what was echoed: a
table that is wrong, or a version that cannot be switched to, then costs no point of what serving does with it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scenario_base.drills.rows import AGREE, Row

from harness.probes.answers import Answer

from .feeds import SOURCES
from .inputs import RATES, SKY, Models, Skies
from .landed import RELATIVE, SAME_UNIT, TOLERANCE, Judged
from .truth import KEY, distances, rates

SHIFTS = range(-12, 13)
OFFSETS = ("+00:00", "-07:00", "+05:30", "-05:00")
"""Beside the story's own: the hour as written is the hour, whatever they say."""

IN_UNITS = ("temp_f", "wind_mph")
"""What a forecast gives in the airport's own unit, and sources change."""

UNKNOWN = {"carrier": "7Q", "dest": "QQQ"}
Number = float | None


@dataclass(frozen=True)
class Said:
    """Questions and their answers, in order."""

    rows: Sequence[Row]
    answers: Sequence[Answer]

    def pairs(self) -> Iterable[tuple[Row, Answer]]:
        """Each question with its answer."""
        return zip(self.rows, self.answers, strict=True)


def when(row: Row) -> tuple[date, int]:
    """Day and hour of departure, as written."""
    at = datetime.fromisoformat(row["sched_dep"])
    return at.date(), at.hour


def number(answer: Answer, name: str) -> Number:
    """An echoed number, None where there is none."""
    value = answer.features.get(name)
    return float(value) if isinstance(value, float | int) and not isinstance(value, bool) else None


# --- questions --------------------------------------------------------------------------------------------------------


def every_hour(rows: Sequence[Row], first: date) -> list[Row]:
    """Rows made to leave at every hour of three days from every airport; takes as many rows as it gives."""
    moments = itertools.product(SOURCES, range(3), range(24))
    return [
        _moved(row, first + timedelta(days=n), hour) | {"origin": origin}
        for row, (origin, n, hour) in zip(rows, moments, strict=False)
    ]


HOURS_ASKED = len(SOURCES) * 3 * 24


def _moved(row: Row, day: date, hour: int) -> Row:
    return row | {"sched_dep": f"{day}T{hour:02d}{row['sched_dep'][13:]}"}


def where_missing(rows: Sequence[Row], skies: Skies, first: date, days: int) -> list[Row]:
    """Rows made to leave at hours of which the forecast lacks a value: each column's turn comes first, in order."""
    lacking = {name: _lacking(skies, name, first, days) for name in SKY}
    turns = [place for turn in itertools.zip_longest(*lacking.values()) for place in turn if place is not None]
    places = list(dict.fromkeys(turns))
    return [_moved(row, day, hour) | {"origin": origin} for row, (origin, day, hour) in zip(rows, places, strict=False)]


def _lacking(skies: Skies, name: str, first: date, days: int) -> list[tuple[str, date, int]]:
    every = itertools.product(SOURCES, (first + timedelta(days=n) for n in range(days)), range(24))
    return [(origin, day, hour) for origin, day, hour in every if skies.at(origin, day, hour)[name] is None]


def other_offsets(rows: Sequence[Row]) -> list[list[Row]]:
    """The same rows with the same time as written at other offsets, a list for each offset."""
    return [
        [row | {"row_id": f"{row['row_id']}o{n}", "sched_dep": f"{row['sched_dep'][:19]}{offset}"} for row in rows]
        for n, offset in enumerate(OFFSETS)
    ]


def edges(rows: Sequence[Row]) -> list[Row]:
    """Unknown carriers and destinations, and the first and the last minute of a day."""
    changes: list[Mapping[str, str]] = [{"carrier": UNKNOWN["carrier"]}, {"dest": UNKNOWN["dest"]}, UNKNOWN]
    found: list[Row] = []
    for n, row in enumerate(rows):
        change = changes[n % 5] if n % 5 < len(changes) else {}
        moment = ("00:00", "23:59")[n % 2] if n % 5 >= len(changes) else row["sched_dep"][11:16]
        found.append(row | {"sched_dep": f"{row['sched_dep'][:11]}{moment}{row['sched_dep'][16:]}"} | dict(change))
    return found


# --- the hour of the weather ------------------------------------------------------------------------------------------


def shifts(said: Said, skies: Skies) -> dict[str, int]:
    """By airport: how many hours away the echoed weather is, judged by humidity; 0 where that does not tell."""
    found = {}
    for origin in SOURCES:
        of_origin = [(row, answer) for row, answer in said.pairs() if row["origin"] == origin]
        agree = {hours: _agreement(of_origin, skies, hours) for hours in SHIFTS}
        best = max(agree, key=lambda hours: (agree[hours], -abs(hours)))
        found[origin] = best if agree[best] > 2 * agree[0] + 0.2 else 0
    return found


def _agreement(pairs: Sequence[tuple[Row, Answer]], skies: Skies, hours: int) -> float:
    seen = []
    for row, answer in pairs:
        day, hour = when(row)
        right, echoed = skies.at(row["origin"], day, hour + hours)["humid_pct"], number(answer, "humid_pct")
        if right is not None and echoed is not None:
            seen.append(abs(echoed - right) <= TOLERANCE["humid_pct"])
    return sum(seen) / len(seen) if seen else 0.0


def weather_right(said: Said, skies: Skies) -> Judged:
    """Every answer echoes the weather of its hour as written; a value that is missing there is another check's."""
    wrong = []
    for row, answer in said.pairs():
        day, hour = when(row)
        right = skies.at(row["origin"], day, hour)
        problem = _unlike(answer, right, SAME_UNIT)
        if number(answer, "hour") != float(hour):
            problem = f"hour is {answer.features.get('hour')}"
        if problem:
            wrong.append(f"{row['origin']} at {row['sched_dep'][:16]}: {problem}")
    away = {origin: hours for origin, hours in shifts(said, skies).items() if hours}
    if wrong:
        hint = "; it is that of " + ", ".join(f"{n:+d} h at {origin}" for origin, n in away.items()) if away else ""
        sentence = f"{len(wrong)} of {len(said.rows)} answers echo other weather than their hour's{hint}: {wrong[0]}."
        return Judged(False, sentence, f"{len(wrong)}", wrong[:60])
    return Judged(True, f"All {len(said.rows)} answers echo the weather of their hour.", "0")


def _unlike(answer: Answer, right: Mapping[str, Number], names: Iterable[str]) -> str:
    for name in names:
        value, echoed = right[name], number(answer, name)
        if value is None:
            continue
        if echoed is None:
            return f"{name} is null where {value:.5g} is right"
        if abs(echoed - value) > TOLERANCE[name] + RELATIVE * abs(value):
            return f"{name} is {echoed:.5g} where {value:.5g} is right"
    return ""


def units_right(said: Said, skies: Skies) -> Judged:
    """Echoed temperature and wind are the forecast's in canonical units, at the hour that the stack takes.

    A null is right only where the forecast has a gap at that hour or at the hour as written.
    """
    away = shifts(said, skies)
    wrong = []
    for row, answer in said.pairs():
        day, hour = when(row)
        here, right = (skies.at(row["origin"], day, hour + n) for n in (0, away[row["origin"]]))
        known = {name: right[name] for name in IN_UNITS if number(answer, name) is not None or here[name] is not None}
        problem = _unlike(answer, known, known)
        if problem:
            wrong.append(f"{row['origin']} at {row['sched_dep'][:16]}: {problem}")
    if len(wrong) > 0.05 * len(said.rows):
        sentence = f"{len(wrong)} of {len(said.rows)} answers echo another unit: {wrong[0]}."
        return Judged(False, sentence, f"{len(wrong)}", wrong[:60])
    return Judged(True, f"{len(said.rows)} answers echo the forecast in canonical units.", "0")


def distances_right(said: Said, right: Mapping[tuple[str, str], frozenset[float]]) -> Judged:
    """Echoed distances are the newest of the route."""
    wrong, looked = [], 0
    for row, answer in said.pairs():
        values, echoed = right.get((row["origin"], row["dest"])), number(answer, "distance_mi")
        if not values or echoed is None:
            continue
        looked += 1
        if not _is_one_of(echoed, values, TOLERANCE["distance_mi"] + RELATIVE * echoed):
            wrong.append(f"{row['origin']}-{row['dest']} is {echoed:.5g} mi where {min(values):.5g} is right")
    if wrong or not looked:
        return Judged(
            False, f"{len(wrong)} of {looked} echoed distances are wrong: {wrong[:1]}.", f"{len(wrong)}", wrong
        )
    return Judged(True, f"{looked} echoed distances are right.", "0")


def _is_one_of(value: float, values: Iterable[float], within: float) -> bool:
    return any(abs(value - each) <= within for each in values)


# --- missing values ---------------------------------------------------------------------------------------------------


def missing_echoed(said: Said, skies: Skies, away: Mapping[str, int]) -> Judged:
    """Where nothing is known, the echo is null: the forecast's gaps, an unknown route, an unknown carrier."""
    wrong, due = [], 0
    for row, answer in said.pairs():
        for name in _unknown(row, skies, away):
            due += 1
            if answer.features.get(name) is not None:
                wrong.append(
                    f"{name} of {row['origin']} at {row['sched_dep'][:16]} is {answer.features[name]}, not null"
                )
    if wrong:
        sentence = f"{len(wrong)} of {due} values that nobody knows are echoed: {wrong[0]}."
        return Judged(False, sentence, f"{len(wrong)}", wrong[:60])
    return Judged(bool(due), f"{len(said.rows)} questions were answered, {due} missing values echoed as null.", "0")


def _unknown(row: Row, skies: Skies, away: Mapping[str, int]) -> list[str]:
    """The inputs of a question that nobody knows; weather where both the hour and the hour that is taken lack it."""
    day, hour = when(row)
    here, there = (skies.at(row["origin"], day, hour + n) for n in (0, away.get(row["origin"], 0)))
    found = [name for name in SKY if here[name] is None and there[name] is None]
    if row["dest"] == UNKNOWN["dest"]:
        found.append("distance_mi")
    if row["carrier"] == UNKNOWN["carrier"]:
        found.append("carrier_late_rate")
    return found


# --- other offsets, alone and together --------------------------------------------------------------------------------


def offsets_agree(base: Said, others: Sequence[Said]) -> Judged:
    """The same time as written has the same hour, weather and risk at every offset."""
    wrong = []
    for other in others:
        for (row, answer), (moved, its) in zip(base.pairs(), other.pairs(), strict=True):
            differing = [name for name in ("hour", *SKY) if answer.features.get(name) != its.features.get(name)]
            if number(its, "hour") != float(when(row)[1]):
                differing.insert(0, "hour")
            if abs(answer.p_late - its.p_late) > AGREE:
                differing.append("p_late")
            if differing:
                wrong.append(f"{differing[0]} of {moved['sched_dep']} is not that of {row['sched_dep']}")
    asked = sum(len(other.rows) for other in others)
    if wrong:
        return Judged(
            False, f"{len(wrong)} of {asked} rows at another offset differ: {wrong[0]}.", f"{len(wrong)}", wrong
        )
    return Judged(True, f"All {asked} rows at another offset have the hour, weather and risk as written.", "0")


def alone_agrees(batch: Said, alone: Said) -> Judged:
    """Questions asked alone have the answers that the same questions had among others; `alone` begins like `batch`."""
    wrong = [
        f"{its.row_id} alone {its.p_late:.6f}, among others {answer.p_late:.6f}"
        for its, answer in zip(alone.answers, batch.answers, strict=False)
        if abs(its.p_late - answer.p_late) > AGREE
    ]
    if wrong:
        return Judged(False, f"{len(wrong)} of {len(alone.rows)} rows differ: {wrong[0]}.", f"{len(wrong)}", wrong)
    return Judged(True, f"All {len(alone.rows)} rows have the same answer alone and among {len(batch.rows)}.", "0")


# --- a model's own risks ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What a stack's own table says on a business date, read in each way that a doubled row allows."""

    rates: Sequence[Mapping[str, Mapping[str, float]]]
    distances: Mapping[tuple[str, str], frozenset[float]]

    @classmethod
    def of(cls, table: pd.DataFrame, day: date) -> Known:
        """From a table as it stands."""
        plain = table.drop_duplicates(KEY, keep="last")
        ways = [table] if len(plain) == len(table) else [table, plain, table.drop_duplicates(KEY)]
        return cls([rates(rows, day) for rows in ways], distances(table))


def as_trained(said: Said, role: str, models: Models, known: Known, skies: Skies, away: Mapping[str, int]) -> Judged:
    """Risks are the model's on the echoed inputs, and those are the question's and the table's own.

    Without a role nobody knows the model that answers (another check's), and the inputs alone are looked at.
    """
    wrong = [problem for row, answer in said.pairs() if (problem := _not_own(row, answer, known))]
    wrong += _filled(said, skies, away)
    echoed = [dict(answer.features) for answer in said.answers]
    for row, echo in zip(said.rows, echoed, strict=True):
        echo.update(dict.fromkeys(_unknown(row, skies, away)))
        echo.update({"carrier": row["carrier"], "origin": row["origin"]})
    risks = _other_risks(said, models.risks(role, echoed)) if role else []
    if risks or wrong:
        sentence = f"{len(risks)} of {len(said.rows)} risks and {len(wrong)} inputs differ: {[*risks, *wrong][0]}."
        return Judged(False, sentence, f"{len(risks) + len(wrong)}", [*risks[:40], *wrong[:40]])
    if not role:
        return Judged(True, f"All {len(said.rows)} answers echo right inputs; their model is no registered one.", "0")
    return Judged(True, f"All {len(said.rows)} risks are the model's on the inputs that they echo.", "0")


def _other_risks(said: Said, right: NDArray[np.float64]) -> list[str]:
    return [
        f"{answer.row_id}: p_late {answer.p_late:.6f} where the model says {p:.6f} of the same inputs"
        for answer, p in zip(said.answers, right, strict=True)
        if abs(answer.p_late - p) > AGREE
    ]


def _not_own(row: Row, answer: Answer, known: Known) -> str:
    for name in ("carrier", "origin"):
        if answer.features.get(name) != row[name]:
            return f"{answer.row_id}: {name} is {str(answer.features.get(name))[:20]}, asked was {row[name]}"
    for name in RATES:
        of = name.removesuffix("_late_rate")
        right = [way[of].get(row[of]) for way in known.rates]
        if not any(_same(number(answer, name), value) for value in right):
            return f"{answer.row_id}: {name} is {answer.features.get(name)} where the table makes {right[0]}"
    values = known.distances.get((row["origin"], row["dest"]), frozenset())
    echoed = number(answer, "distance_mi")
    if echoed is None if values else echoed is not None:
        return f"{answer.row_id}: distance_mi is {echoed}, the table has {sorted(values)[:3]}"
    if echoed is not None and not _is_one_of(echoed, values, 0.1):
        return f"{answer.row_id}: distance_mi is {echoed}, the table has {sorted(values)[:3]}"
    return ""


def _same(said: Number, right: Number) -> bool:
    return said is right if said is None or right is None else abs(said - right) <= AGREE


def _filled(said: Said, skies: Skies, away: Mapping[str, int]) -> list[str]:
    wrong = []
    for row, answer in said.pairs():
        known = [name for name in _unknown(row, skies, away) if answer.features.get(name) is not None]
        wrong += [f"{answer.row_id}: {name} is {answer.features[name]} where nobody knows it" for name in known]
    return wrong


def own_answers(said: Said, role: str, roles: Iterable[str], models: Models) -> Judged:
    """Answers that name a role's version are of its model, for the inputs that they echo.

    One role's in a quarter of the answers is enough: what serving does with a row's inputs is another check's.
    """
    found = which_role(said, roles, models)
    named = said.answers[0].model.version
    if found != role:
        of = f"those of {found}" if found else "none that it gives for the inputs that they echo"
        return Judged(
            False, f"Answers name version {named}, which is {role}, and their risks are {of}.", found or "none"
        )
    return Judged(True, f"{len(said.rows)} answers that name version {named} are its own.", role)


def which_role(said: Said, roles: Iterable[str], models: Models) -> str:
    """The role whose model gives most of these risks on the echoed inputs, "" where none gives a quarter of them."""
    echoed = [dict(answer.features) for answer in said.answers]
    hits: Counter[str] = Counter()
    for role in roles:
        right = models.risks(role, echoed)
        hits[role] = sum(abs(answer.p_late - p) <= AGREE for answer, p in zip(said.answers, right, strict=True))
    role, count = hits.most_common(1)[0] if hits else ("", 0)
    return role if count > len(said.rows) / 4 else ""
