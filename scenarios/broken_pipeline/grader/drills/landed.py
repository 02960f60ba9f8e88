"""Judges a canonical table against the truth. Each judgement looks at one thing and leaves the others to their checks.

Rows are joined by key, so that a missing row is judged once, by the checks that count rows. Cells are compared where
both sides have a value, so that a filled or lost value is judged by the checks of missing values. Where a source-day's
weather is that of an hour some constant number of hours away, cells are compared with that hour, but by the check of
the hour itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import pandas as pd

from .feeds import WEATHER
from .truth import HOUR, KEY, NARROW, Truth

SHIFTS = range(-12, 13)
TOLERANCE = {
    "temp_f": 0.3,
    "wind_mph": 0.3,
    "distance_mi": 0.6,
    "humid_pct": 0.06,
    "pressure_mb": 0.06,
    "visib_mi": 0.06,
    "precip_in": 0.006,
}
"""Absolute, beside RELATIVE. Celsius for Fahrenheit moves a temperature by 20 or more; what is no matter of units is
asked for as it was delivered, rounded to a digit at most."""

RELATIVE = 0.002
"""Honest factors differ in their fourth digit: 1.6 km a mile is not honest, 1.609 is."""

CONVERTED = ("temp_f", "wind_mph", "distance_mi")
SAME_UNIT = ("humid_pct", "pressure_mb", "visib_mi", "precip_in")
"""What tells whether the hour is right: no source changes the unit of humidity, and few that of the others."""

MOST = 0.5
"""A source-day with a wrong unit has every row wrong; one with a late or a doubled delivery has some."""

CLEARLY = 0.5
"""Humidity of another hour agrees in one row of fifty."""

FILLED_AT_MOST = 0.05
"""Share of cells, on days whose weather is that of another hour: a gap there may be another hour's."""

WRONG_HOURS_AT_MOST = 0.01
"""Share of cells. A healthy table has none; a delivery that was not read leaves an hour in 400 without weather."""


@dataclass(frozen=True)
class Judged:
    """What a judgement says: its sentence, the measured value, and what is saved as evidence."""

    ok: bool
    sentence: str
    measured: str
    details: Any = None


class Compared:
    """A table beside the truth, both of the same days."""

    def __init__(self, table: pd.DataFrame, truth: Truth) -> None:
        days = truth.rows.index.get_level_values("date")
        self.truth = truth
        self.table = table[table["date"].between(days.min(), days.max())] if len(days) else table.iloc[:0]

    @cached_property
    def keys(self) -> pd.MultiIndex:
        """The keys of the table's rows; some may come more than once."""
        return pd.MultiIndex.from_frame(self.table[KEY])

    @cached_property
    def twice(self) -> pd.MultiIndex:
        """Keys of rows whose key another row before it has."""
        return self.keys[self.keys.duplicated()]

    @cached_property
    def missing(self) -> pd.MultiIndex:
        """Keys that were delivered and are not in the table."""
        return self.truth.rows.index.difference(self.keys)

    @cached_property
    def extra(self) -> pd.MultiIndex:
        """Keys in the table that no accepted delivery has."""
        return self.keys.unique().difference(self.truth.rows.index)

    @cached_property
    def joined(self) -> pd.DataFrame:
        """Rows of both, by key; the truth's columns are named `right_…`. A table's first row of a key counts."""
        first = self.table[~self.keys.duplicated()].set_index(KEY)
        joined = first.join(self.truth.rows.add_prefix("right_"), how="inner")
        return joined.reset_index()

    def absent(self) -> set[tuple[str, str]]:
        """Source-days of the truth of which the table has no row at all."""
        delivered = _source_days(self.truth.rows.index)
        return delivered - _source_days(self.keys)

    @cached_property
    def shift(self) -> pd.Series:
        """For each row of `joined`: how many hours away the weather is that its source-day has, judged by humidity."""
        return _shift(self.joined, self.truth)

    @cached_property
    def aligned(self) -> pd.DataFrame:
        """`joined` with the truth's weather of the hour that the table has, by `shift`."""
        parts = [_at(self.joined[self.shift == hours], self.truth, int(hours)) for hours in self.shift.unique()]
        return pd.concat(parts).sort_index() if parts else self.joined

    def shifted(self) -> dict[str, list[int]]:
        """The hours away that some source-days of an origin are, where any is."""
        away = self.shift[self.shift != 0]
        found = away.groupby(self.joined["origin"]).unique()
        return {str(origin): sorted(int(n) for n in hours) for origin, hours in found.items()}


def _source_days(keys: pd.MultiIndex) -> set[tuple[str, str]]:
    frame = keys.to_frame(index=False)[["origin", "date"]].drop_duplicates()
    return set(frame.itertuples(index=False, name=None))


def _shift(rows: pd.DataFrame, truth: Truth) -> pd.Series:
    days = [rows["origin"], rows["date"]]
    found = pd.Series(0, index=rows.index)
    plain = _agrees(rows).groupby(days).transform("mean")
    odd = rows[plain < CLEARLY]
    if odd.empty:
        return found
    agree = {hours: _agrees(_at(odd, truth, hours)).groupby([odd["origin"], odd["date"]]).mean() for hours in SHIFTS}
    by_day = pd.DataFrame(agree).fillna(0.0)
    best = by_day.idxmax(axis=1).where(by_day.max(axis=1) > CLEARLY, 0)
    places = pd.MultiIndex.from_frame(odd[["origin", "date"]])
    found.loc[odd.index] = best.reindex(places).to_numpy()
    return found


def _agrees(rows: pd.DataFrame) -> pd.Series:
    """1.0 or 0.0 where both have a humidity, NaN elsewhere."""
    known = rows["right_humid_pct"].notna() & rows["humid_pct"].notna()
    return (~_differs(rows, "humid_pct")).astype(float).where(known)


def _at(rows: pd.DataFrame, truth: Truth, hours: int) -> pd.DataFrame:
    """Rows with the truth's weather so many hours later; missing where that is on another day's side of the data."""
    if not hours:
        return rows
    moment = pd.to_datetime(rows["date"]) + pd.to_timedelta(rows["right_hour"] + hours, unit="h")
    wanted = pd.DataFrame({"date": moment.dt.strftime("%Y-%m-%d"), "origin": rows["origin"], "hour": moment.dt.hour})
    sky = truth.weather.reindex(pd.MultiIndex.from_frame(wanted[HOUR])).add_prefix("right_")
    return rows.assign(**{name: sky[name].to_numpy() for name in sky.columns})


def _differs(rows: pd.DataFrame, column: str) -> pd.Series:
    right = rows[f"right_{column}"]
    return (rows[column] - right).abs() > TOLERANCE[column] + RELATIVE * right.abs()


# --- units ------------------------------------------------------------------------------------------------------------


def units_right(compared: Compared, only: Collection[tuple[str, str, str]] | None = None) -> Judged:
    """Temperature, wind and distance are in canonical units on every source-day, and there where the source has them.

    `only` limits it to some (column, source, day), for a unit that changed on that day.
    """
    wrong, looked = [], 0
    columns = CONVERTED if only is None else sorted({column for column, _, _ in only})
    for column in columns:
        rows = compared.aligned
        rows = rows[rows[f"right_{column}"].notna()]
        for (origin, day), of_day in rows.groupby(["origin", "date"]):
            if only is not None and (column, origin, day) not in only:
                continue
            looked += 1
            there = of_day[of_day[column].notna()]
            if len(there) <= (1 - MOST) * len(of_day):
                wrong.append(_example(of_day[of_day[column].isna()], column))
                continue
            bad = _differs(there, column)
            if bad.mean() > MOST:
                wrong.append(_example(rows.loc[bad.index[bad.to_numpy()]], column))
    if not looked:
        return Judged(False, "No row of the table could be compared.", "no row")
    what = f"{len(wrong)} of {looked} source-days and columns"
    if wrong:
        return Judged(False, f"{what} are not in canonical units: {wrong[0]}.", f"{len(wrong)}", wrong)
    return Judged(True, f"{looked} source-days and columns are in canonical units.", "0")


def _example(rows: pd.DataFrame, column: str) -> str:
    row = rows.iloc[0]
    name = f"{row['carrier']} {row['flight']} from {row['origin']} on {row['date']}"
    return f"{name} has {column} {row[column]:.4g} where {row[f'right_{column}']:.4g} is right ({len(rows)} rows)"


# --- missing values and the hour --------------------------------------------------------------------------------------


def missing_stays_missing(compared: Compared) -> Judged:
    """Where the source has no value of a weather column, the table has none: not one, on days with the right hours."""
    rows = compared.aligned
    shares, wrong = {}, ""
    for column in WEATHER.values():
        due = rows[rows[f"right_{column}"].isna()]
        away = compared.shift.loc[due.index] != 0
        moved = due[away & due["right_hour"].between(6, 18)]  # a shift that wraps at midnight is no filled value
        plain = due[~away]
        in_moved = moved[moved[column].notna()]
        filled = plain[plain[column].notna()]
        if len(in_moved) > FILLED_AT_MOST * len(moved):
            filled = pd.concat([filled, in_moved])
        due = pd.concat([plain, moved])
        shares[column] = (len(filled), len(due))
        if len(filled) and not wrong:
            wrong = (
                f"{len(filled)} of {len(due)} rows whose source has no {column} have one, "
                f"most often {filled[column].mode().iloc[0]:.4g}"
            )
    if wrong:
        return Judged(False, f"{wrong[0].upper()}{wrong[1:]}.", f"{sum(n for n, _ in shares.values())}", shares)
    due_all = sum(n for _, n in shares.values())
    if not due_all:
        return Judged(False, "No row of the table could be compared.", "no row")
    return Judged(True, f"Of {due_all} values that no source has, the table has none.", "0", shares)


def weather_right(compared: Compared, only: tuple[str, date] | None = None) -> Judged:
    """Every row has the weather of the hour of its departure: the same values, and a value where there is one.

    `only` limits it to a source's day.
    """
    rows = compared.joined
    if only is not None:
        rows = rows[(rows["origin"] == only[0]) & (rows["date"] == str(only[1]))]
    bad = pd.Series(False, index=rows.index)
    for column in SAME_UNIT:
        right = rows[f"right_{column}"]
        bad |= _differs(rows, column).where(right.notna() & rows[column].notna(), False)
        bad |= right.notna() & rows[column].isna()
    if rows.empty:
        return Judged(False, "No row of the table could be compared.", "no row")
    by_hour = bad.groupby(rows["right_hour"]).agg(["mean", "size"])
    worst = by_hour[by_hour["size"] >= 20]["mean"].max()
    shifted = compared.shifted()
    details = {"by_hour": by_hour["mean"].round(4).to_dict(), "hours_away": shifted}
    measured = f"{int(bad.sum())}"
    if bad.mean() > WRONG_HOURS_AT_MOST or worst > 20 * WRONG_HOURS_AT_MOST:
        away = f"; it is that of {_hours(shifted)}" if shifted else ""
        sentence = f"{bad.sum()} of {len(rows)} rows have other weather than their hour's{away}."
        return Judged(False, sentence, measured, details)
    return Judged(True, f"{len(rows) - bad.sum()} of {len(rows)} rows have their hour's weather.", measured, details)


def _hours(shifted: dict[str, list[int]]) -> str:
    return ", ".join(f"{hours[0]:+d} h at {origin}" for origin, hours in sorted(shifted.items()))


# --- rows -------------------------------------------------------------------------------------------------------------


def counts_reconcile(compared: Compared) -> Judged:
    """No key twice, none that nobody delivered, and both rows of a number that leaves two airports."""
    allowed = compared.truth.troubled()
    extra = [key for key in compared.extra if (key[3], key[0]) not in allowed]
    lost = _lost_repeats(compared)
    details = {"twice": _texts(compared.twice), "extra": _texts(extra), "repeats_lost": _texts(lost)}
    wrong = [
        f"{len(found)} {what}, first {_text(found[0])}"
        for found, what in (
            (compared.twice, "rows have the key of another row"),
            (extra, "rows were never delivered"),
            (lost, "rows of numbers that leave two airports are not there"),
        )
        if len(found)
    ]
    count = len(compared.twice) + len(extra) + len(lost)
    if compared.joined.empty:
        return Judged(False, "The table has no row of these days.", "no row")
    if wrong:
        return Judged(False, f"{'; '.join(wrong)}.", f"{count}", details)
    return Judged(True, f"{len(compared.table)} rows, each of its own key.", "0", details)


def _lost_repeats(compared: Compared) -> list[tuple[Any, ...]]:
    """Missing rows of narrow repeats, where the rest of their source-day is there: else rows are cut, or late."""
    other = _source_days(compared.missing.difference(compared.truth.repeats))
    return [key for key in compared.missing.intersection(compared.truth.repeats) if (key[3], key[0]) not in other]


def every_row_lands(compared: Compared) -> Judged:
    """Every delivered key is there. Narrow repeats, and days held up by a refused source, are other checks'."""
    held = _held_up(compared)
    cut = [key for key in compared.missing.difference(compared.truth.repeats) if (key[3], key[0]) not in held]
    return _all_there(compared, cut, len(compared.truth.rows))


def _held_up(compared: Compared) -> set[tuple[str, str]]:
    days = {day for _, day in compared.truth.troubled()}
    return {(source, day) for source, day in compared.absent() if day in days}


def _all_there(compared: Compared, cut: Sequence[tuple[Any, ...]], of: int) -> Judged:
    if not len(compared.table):
        return Judged(False, "The table has no row of these days.", "no row")
    if not len(cut):
        return Judged(True, f"All {of} delivered rows are there.", "0")
    by_day = pd.Series([f"{key[3]} {key[0]}" for key in cut]).value_counts()
    sentence = f"{len(cut)} of {of} delivered rows are not there, {by_day.iloc[0]} of them of {by_day.index[0]}."
    return Judged(False, sentence, f"{len(cut)}", by_day.to_dict())


def rows_there(compared: Compared, keys: Iterable[tuple[Any, ...]]) -> Judged:
    """All of these keys are in the table."""
    wanted = pd.MultiIndex.from_tuples(list(keys), names=KEY)
    return _all_there(compared, list(wanted.difference(compared.keys)), len(wanted))


def repeats_survive(compared: Compared, planted: Iterable[tuple[Any, ...]]) -> Judged:
    """Both rows of every narrow repeat are there, those of the planted ones among them."""
    lost = _lost_repeats(compared)
    pairs = compared.truth.repeats.to_frame(index=False).groupby(NARROW).ngroups
    new = {(key[0], key[1], key[2]) for key in planted}
    if compared.joined.empty:
        return Judged(False, "The table has no row of these days.", "no row")
    if lost:
        sentence = f"{len(lost)} rows of {pairs} numbers that leave two airports are not there: {_text(lost[0])}."
        return Judged(False, sentence, f"{len(lost)}", _texts(lost))
    return Judged(True, f"All rows of {pairs} such numbers are there, {len(new)} of them new.", "0")


def upserted(
    compared: Compared, changed: pd.DataFrame, late: Iterable[tuple[Any, ...]] = (), unread: bool = False
) -> Judged:
    """Rows that came anew stand in the place of the old ones, and no other row moved.

    `changed` has the key and `arr_delay_min` as it was and as it came (`was`); `late` are keys delivered first
    with them. `unread`: a fault of another slot leaves later deliveries out; that nothing of them landed is then
    another check's, and that nothing came twice is asked all the same.
    """
    keys = pd.MultiIndex.from_frame(changed[KEY])
    days = {(key[3], key[0]) for key in keys}
    twice = [key for key in compared.twice if (key[3], key[0]) in days]
    now = compared.joined.set_index(KEY)["arr_delay_min"].reindex(keys)
    old = (now.to_numpy() == changed["was"].to_numpy()) & now.notna().to_numpy()
    replaced = now.to_numpy() == changed["arr_delay_min"].to_numpy()
    lost = [key for key in _lost_repeats(compared) if (key[3], key[0]) in days]
    details = {"twice": _texts(twice), "old": int(old.sum()), "new": int(replaced.sum()), "lost": _texts(lost)}
    if twice:
        sentence = f"{len(twice)} rows that came anew stand beside the old ones, first {_text(twice[0])}."
        return Judged(False, sentence, f"{len(twice)}", details)
    if lost:
        return Judged(False, f"A row that came took the place of another: {_text(lost[0])}.", f"{len(lost)}", details)
    if now.notna().sum() == 0:
        return Judged(False, "None of the rows that came anew is in the table.", "no row", details)
    read = bool(replaced.any()) or any(key in compared.keys for key in late)
    if read and old.any():
        sentence = f"{old.sum()} of {len(keys)} rows that came anew still have their old values."
        return Judged(False, sentence, f"{old.sum()}", details)
    if not replaced.any():
        sentence = "Nothing came twice; that the delivery was not read is another check's."
        if not unread:
            sentence = f"None of {len(keys)} rows that came anew replaced the one with its key."
        return Judged(unread, sentence, "0", details)
    return Judged(True, f"{replaced.sum()} rows were replaced by what came anew, and none came twice.", "0", details)


def _texts(keys: Iterable[tuple[Any, ...]], at_most: int = 50) -> list[str]:
    return [_text(key) for key in list(keys)[:at_most]]


def _text(key: tuple[Any, ...]) -> str:
    return f"{key[1]} {key[2]} from {key[3]} on {key[0]}"
