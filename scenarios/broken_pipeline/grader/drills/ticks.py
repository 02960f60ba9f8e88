"""What the sources deliver on the nights after the first: the story's deliveries, altered by the seed.

first    D+1. Other units at other sources than in the story, and back again where they had changed, to degrees that
         look like Celsius; a day of doubled volume; a number that leaves two airports; values missing within the rules;
         one source's times at another offset; two routes of another distance, one by the day's own rows and one by rows
         of the day before that come anew; labels changed and rows late on days of the holdout.
second   D+2. The labels of the first tick are taken back; two sources break a published rule each, the third does not.
third    D+3. The one of the two with a wrong value is mended; two sources lack temperature or humidity in more than
         half of the hours.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pandas as pd

from . import alter, feeds
from .feeds import Delivery, Files, written
from .truth import KEY, Deliveries

Key = tuple[Any, ...]

RELABELLED = (3, 2)
"""Days before the business date whose labels change at the first tick: in the holdout of D, as of D."""

RELABELLED_SHARE = 0.6
LATE_ROWS = 12
MISSING_HOURS = 6
"""A quarter of a day: within the rule of 30 %."""

WARMEST_F = 40
"""Of a cold day, which could be a hot one in Celsius: no value says its unit."""

OFFSET = "+00:00"
"""Of times as written, which are New York's all the same."""

BURST_HOURS = 14
"""58 % of a day."""

FURTHER, NEARER = 1.25, 0.8
LONGEST_MI = 3000
"""A route that is changed stays within the rules."""


@dataclass(frozen=True)
class First:
    """The first tick: its files, and what is where in them. `day` is the day that it delivers first."""

    day: date
    files: Files
    paired: frozenset[tuple[str, str, str]]
    again: frozenset[tuple[str, str, str]]
    large: tuple[str, date]
    moved: tuple[str, date]
    planted: tuple[Key, ...]
    late: tuple[Key, ...]
    changed: pd.DataFrame
    routes: tuple[tuple[str, str], ...]
    relabelled: tuple[date, ...]


@dataclass(frozen=True)
class Second:
    """The second tick: which rule each of two sources breaks, and the third source."""

    day: date
    files: Files
    poisons: Mapping[str, str]
    good: str


@dataclass(frozen=True)
class Third:
    """The third tick: the source that is mended (its day is the second tick's), and the columns that burst."""

    day: date
    files: Files
    mended: str
    mended_day: date
    bursts: Mapping[str, str]


@dataclass
class Night:
    """Deliveries of one night by source, as they are altered, and files beside them."""

    by_source: dict[str, Delivery]
    more: list[Delivery] = field(default_factory=list)

    def alter(self, source: str, **changes: Any) -> None:
        """Replace parts of a source's delivery."""
        self.by_source[source] = replace(self.by_source[source], **changes)

    def files(self) -> Files:
        """All files."""
        found: Files = {}
        for delivery in (*self.by_source.values(), *self.more):
            found |= written(delivery)
        return found


def _of_night(story: Files, day: date) -> dict[str, Delivery]:
    """The first deliveries of a day, by source."""
    found = {
        source: feeds.read(story, source, when, number)
        for source, when, number in feeds.manifests(story)
        if when == day and number == 1
    }
    lacking = [source for source in feeds.SOURCES if source not in found or found[source].refused]
    if lacking:
        raise ValueError(f"the story delivers nothing good of {lacking[0]} for {day}")
    return found


def _others(story: Files, day: date, ours: set[tuple[str, date]]) -> Files:
    """The story's later deliveries of a night, but for source-days that the grader has altered."""
    kept = {(s, d) for s, d, _ in feeds.manifests(story) if d != day and (s, d) not in ours}
    return {path: raw for path, raw in story.items() if _place(path) in kept}


def _place(path: str) -> tuple[str, date]:
    _, source, day, _ = path.split("/")
    return source, date.fromisoformat(day)


class Plan:
    """Draws the three ticks; `known` is what has been delivered, `coming` what the story would deliver on a night.

    `too_far`: whether the rule about values that is broken is the one of alter.TOO_FAR.
    """

    def __init__(self, values: Mapping[str, Any], seed: str, today: date, too_far: bool = False) -> None:
        self._today = today
        self._rng = random.Random(f"{seed}/ticks")
        changes = values["unit_changes"]
        self._source = {name: str(changes[name]["source"]) for name in ("temp", "wind", "distance")}
        self._odd = str(values["odd_source"])
        self._ours: set[tuple[str, date]] = set()
        poisoned = self._rng.sample(feeds.SOURCES, 2)
        rules = (self._rng.choice(alter.FILES), self._rng.choice(alter.VALUES))
        self._poisons = dict(zip(poisoned, (rules[0], alter.TOO_FAR) if too_far else rules, strict=True))
        self._taken_back: list[Delivery] = []

    # --- first tick -------------------------------------------------------------------------------------------------

    def first(self, story: Files, known: Deliveries) -> First:
        """See the module's docstring."""
        day, rng = self._today, self._rng
        night = Night(_of_night(story, day))
        paired, again = self._units(night)
        for column, source in zip(("humid_pct", "temp_f"), rng.sample(feeds.SOURCES, 2), strict=True):
            night.by_source[source] = alter.missing(night.by_source[source], column, MISSING_HOURS, rng)
        routes = self._distances(night, known)
        one, other = rng.sample(feeds.SOURCES, 2)
        night.by_source[other], number = alter.repeated(night.by_source[one], night.by_source[other], rng)
        large = rng.choice(feeds.SOURCES)
        night.by_source[large] = alter.doubled(night.by_source[large], rng)
        changed, late, planted = self._anew(night, known)
        moved = rng.choice(feeds.SOURCES)
        night.by_source[moved] = alter.at_offset(night.by_source[moved], OFFSET)
        numbered = [(str(day), *number, source) for source in (one, other)]
        return First(
            day=day,
            files=_others(story, day, self._ours) | night.files(),
            paired=frozenset((column, source, str(day)) for column, source in paired),
            again=frozenset((column, source, str(day)) for column, source in again),
            large=(large, day),
            moved=(moved, day),
            planted=(*numbered, *planted),
            late=tuple(late),
            changed=changed,
            routes=tuple(routes),
            relabelled=tuple(self._today - timedelta(days=n) for n in RELABELLED),
        )

    def _units(self, night: Night) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Each of three units changes at a source where the story left it, and back or on where the story changed it.

        Returns (column, source) of the first kind and of the second.
        """
        temp, wind, distance = (self._source[name] for name in ("temp", "wind", "distance"))
        for source, units in (
            (wind, {"temp": "C", "wind": "kn", "pressure": "hPa"}),
            (distance, {"wind": "m/s", "distance": "mi"}),
            (temp, {"distance": "km", "temp": "F"}),
        ):
            night.by_source[source] = alter.in_units(night.by_source[source], units)
        night.by_source[temp] = alter.colder(night.by_source[temp], WARMEST_F)
        other = next(source for source in feeds.SOURCES if source != self._odd)
        night.by_source[other] = alter.in_units(night.by_source[other], {"visib": "km", "precip": "mm"})
        paired = [("temp_f", wind), ("wind_mph", distance), ("distance_mi", temp)]
        return paired, [("temp_f", temp), ("wind_mph", wind), ("distance_mi", distance)]

    def _distances(self, night: Night, known: Deliveries) -> list[tuple[str, str]]:
        """One route is further by the day's own rows; another, which does not fly that day, is nearer by rows of the
        day before that come anew."""
        before = self._today - timedelta(days=1)
        one, other = self._rng.sample(feeds.SOURCES, 2)
        dest = self._dest(_flown(night, one))
        night.by_source[one] = alter.at_distance(night.by_source[one], dest, FURTHER)
        of_before = self._standing(known, other, before)
        flown = _flown(night, other)
        gone = self._dest(of_before.flights if of_before.flights is not None else flown)
        night.by_source[other] = alter.without_route(night.by_source[other], gone)
        night.more.append(alter.of_routes(of_before, self._next(known, other, before), [gone], NEARER))
        return [(one, dest), (other, gone)]

    def _dest(self, flights: pd.DataFrame) -> str:
        """One of the busier destinations."""
        near = flights[flights["distance_mi"] < LONGEST_MI / FURTHER]
        near = near[near["distance_mi"] * NEARER > feeds.RANGES["distance_mi"][0]]
        return str(self._rng.choice(sorted(near["dest"].value_counts().sort_index().nlargest(8).index)))

    def _anew(self, night: Night, known: Deliveries) -> tuple[pd.DataFrame, list[Key], list[Key]]:
        """Labels change on two days at every source; on the later of them rows come late, one of them with a number
        that another airport has had."""
        changed, counts = [], {}
        for before in RELABELLED:
            day = self._today - timedelta(days=before)
            for source in feeds.SOURCES:
                standing = self._standing(known, source, day)
                anew = alter.relabelled(standing, self._next(known, source, day), RELABELLED_SHARE, self._rng)
                changed.append(_changes(standing, anew))
                self._taken_back.append(alter.taken_back(standing, anew))
                if before == RELABELLED[-1] and standing.flights is not None:
                    counts[len(night.more)] = len(changed[-1])
                    anew = alter.with_late_rows(anew, standing.flights, LATE_ROWS, self._rng)
                night.more.append(anew)
        planted = self._late_repeat(night, known)
        late = [key for n, count in counts.items() for key in _keys(night.more[n], slice(count, None))]
        return pd.concat(changed, ignore_index=True), [key for key in late if key not in planted], planted

    def _late_repeat(self, night: Night, known: Deliveries) -> list[Key]:
        """Give a late row the number of a flight of its carrier at another airport that day."""
        day = self._today - timedelta(days=RELABELLED[-1])
        anew = {each.source: n for n, each in enumerate(night.more) if each.day == day}
        one, other = self._rng.sample(feeds.SOURCES, 2)
        theirs = self._standing(known, other, day).flights
        ours = night.more[anew[one]]
        if ours.flights is None or theirs is None:
            raise ValueError(f"no flights of {one} or {other} for {day}")
        flights, last = ours.flights.copy(), ours.flights.index[-1]
        taken = set(zip(flights["carrier"], flights["flight"], strict=True)) | set(_numbers(known, one, day))
        free = theirs[[key not in taken for key in zip(theirs["carrier"], theirs["flight"], strict=True)]]
        chosen = free.iloc[self._rng.randrange(len(free))]
        flights.loc[last, ["carrier", "flight"]] = [chosen["carrier"], chosen["flight"]]
        night.more[anew[one]] = replace(ours, flights=flights)
        number = (str(chosen["carrier"]), int(chosen["flight"]))
        return [(str(day), *number, one), (str(day), *number, other)]

    def _standing(self, known: Deliveries, source: str, day: date) -> Delivery:
        """A source's day as it stands after all its accepted deliveries."""
        accepted = [each for each in known.all() if (each.source, each.day) == (source, day) and not each.refused]
        frames = [each.flights for each in accepted if each.flights is not None]
        if not frames:
            raise ValueError(f"nothing of {source} for {day} was accepted")
        flights = pd.concat(frames, ignore_index=True).drop_duplicates(["carrier", "flight"], keep="last")
        return replace(accepted[-1], flights=flights.reset_index(drop=True), weather=None)

    def _next(self, known: Deliveries, source: str, day: date) -> int:
        """The number of the next delivery of a source's day, which from now on is the grader's."""
        self._ours.add((source, day))
        return max(known.numbers(source, day)) + 1

    # --- second and third tick --------------------------------------------------------------------------------------

    def second(self, story: Files) -> Second:
        """See the module's docstring."""
        day = self._today + timedelta(days=1)
        deliveries = _of_night(story, day)
        files = _others(story, day, self._ours)
        for source, delivery in deliveries.items():
            rule = self._poisons.get(source)
            files |= alter.POISONS[rule](delivery) if rule else written(delivery)
        for delivery in self._taken_back:
            files |= written(delivery)
        self._ours |= {(source, day) for source in self._poisons}
        good = next(source for source in feeds.SOURCES if source not in self._poisons)
        return Second(day, files, self._poisons, good)

    def third(self, story: Files, of_second: Files) -> Third:
        """See the module's docstring. `of_second` is the story's, before rules were broken."""
        day, before = self._today + timedelta(days=2), self._today + timedelta(days=1)
        night = Night(_of_night(story, day))
        mended = next(source for source, rule in self._poisons.items() if rule not in alter.FILES)
        night.more.append(replace(_of_night(of_second, before)[mended], number=2))
        bursts = dict(zip(self._rng.sample(feeds.SOURCES, 2), ("humid_pct", "temp_f"), strict=True))
        for source, column in bursts.items():
            night.by_source[source] = alter.missing(night.by_source[source], column, BURST_HOURS, self._rng)
        return Third(day, _others(story, day, self._ours) | night.files(), mended, before, bursts)


def _flown(night: Night, source: str) -> pd.DataFrame:
    flights = night.by_source[source].flights
    if flights is None:
        raise ValueError(f"no flights of {source}")
    return flights


def _changes(standing: Delivery, anew: Delivery) -> pd.DataFrame:
    """The key, the arrival that came anew and the one before (`was`)."""
    if standing.flights is None or anew.flights is None:
        raise ValueError(f"no flights of {standing.folder}")
    number = ["carrier", "flight"]
    was = standing.flights[[*number, "arr_delay_min"]].rename(columns={"arr_delay_min": "was"})
    rows = anew.flights[[*number, "arr_delay_min"]].merge(was, on=number)
    return rows.assign(date=str(standing.day), origin=standing.source)[[*KEY, "arr_delay_min", "was"]]


def _keys(delivery: Delivery, rows: slice) -> list[Key]:
    flights: pd.DataFrame = delivery.flights.iloc[rows] if delivery.flights is not None else pd.DataFrame()
    numbers: Sequence[tuple[str, int]] = list(zip(flights["carrier"], flights["flight"], strict=True))
    return [(str(delivery.day), str(carrier), int(flight), delivery.source) for carrier, flight in numbers]


def _numbers(known: Deliveries, source: str, day: date) -> list[tuple[str, int]]:
    return [
        number
        for each in known.all()
        if (each.source, each.day) == (source, day) and each.flights is not None
        for number in zip(each.flights["carrier"], each.flights["flight"], strict=True)
    ]
