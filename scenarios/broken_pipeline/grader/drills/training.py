"""Judges a training by what it declared and by what it changes: its holdout, its metrics, its inputs, its likeness.

A training is held against the table of its own stack as it stood: that rows or values of that table are wrong is
another check's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scenario_base.drills.lineage import lineage_of

from harness.probes.registry import Run, Version

from .artifacts import Declared
from .inputs import INPUTS, NUMBERS, RATES
from .landed import Judged
from .truth import KEY, LATE_AFTER_MIN, rates

HOLDOUT_DAYS = 7
TRAIN_FROM, TRAIN_TO = 67, 8
ALIKE = 1e-9
"""Largest difference of two trainings' answers on the same data (BRIEF.md)."""

RATES_WITHIN = 1e-4
"""A rate of the same day differs by a hundredth; one that was rounded in the file does not by this much."""

ODD_ROWS = 0.01
METRIC_WITHIN = 1e-3
"""A tag may be rounded to three digits."""

AWAYS = (1e-6, 1e-9, float(np.finfo("float32").eps), float(np.finfo("float64").eps))
"""How far a metric may keep risks away from 0 and 1, which decides what a sure answer that is wrong costs: scikit-learn
takes the machine epsilon of the answers' type."""

BASELINE_WITHIN = 0.01
"""Where a table has rows twice, their share of late flights may be counted in two ways."""

APART = 2e-4
"""Mean difference of answers once the holdout's labels changed; see `apart`."""

NOISES = 3.0
FOUND_ALIKE = 1e-5
"""As ALIKE, where rows may have another order; half of the rows make another model by a hundred times as much."""

SHARED_ROWS = 100
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """A version, what it declared, and the table of its stack when it was made. `inputs` are its signature's."""

    as_of: date
    version: Version
    run: Run | None
    declared: Declared
    inputs: tuple[str, ...] | None
    table: pd.DataFrame

    @property
    def name(self) -> str:
        """How a sentence calls it."""
        return f"Version {self.version.version} as of {self.as_of}"

    def evidence(self) -> dict[str, Any]:
        """For Bench.save."""
        return {
            "version": self.version.version,
            "tags": dict(self.version.tags),
            "metrics": dict(self.run.metrics) if self.run else None,
            "inputs": self.inputs,
            "holdout_rows": len(self.declared.rows),
            "holdout_problem": self.declared.problem,
        }


def losses(late: Floats, p: Floats, away: float = 1e-9) -> Floats:
    """Log loss of each row; risks are kept `away` from 0 and 1."""
    p = np.clip(p, away, 1 - away)
    found: Floats = -(late * np.log(p) + (1 - late) * np.log1p(-p))
    return found


def log_loss(late: Floats, p: Floats, away: float = 1e-9) -> float:
    """Mean log loss; risks are kept `away` from 0 and 1."""
    return float(losses(late, p, away).mean())


def arrived(table: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """The rows of the days `first` to `last` that arrived, with `late`."""
    rows = table[(table["date"] >= str(first)) & (table["date"] <= str(last)) & table["arr_delay_min"].notna()]
    return rows.assign(late=(rows["arr_delay_min"] > LATE_AFTER_MIN).astype(float))


def _holdout(made: Made) -> pd.DataFrame:
    return arrived(made.table, made.as_of - timedelta(days=HOLDOUT_DAYS), made.as_of - timedelta(days=1))


# --- the holdout ------------------------------------------------------------------------------------------------------


def holdout_declared(made: Made) -> Judged:
    """holdout.csv has every arrived flight of D-7 to D-1 and no other, with its label."""
    if made.declared.problem:
        return Judged(False, f"{made.name}: {made.declared.problem}.", "no holdout", made.evidence())
    right, said = _holdout(made), made.declared.rows
    due, given = (pd.MultiIndex.from_frame(frame[KEY]).unique() for frame in (right, said))
    lacking, more = due.difference(given), given.difference(due)
    if len(lacking) or len(more) or not len(due):
        sentence = (
            f"{made.name} declares {len(given)} holdout rows; {len(lacking)} of the {len(due)} arrived flights of "
            f"the seven days are not among them, {len(more)} others are."
        )
        return Judged(False, sentence, f"{len(lacking) + len(more)}", made.evidence())
    once = right[~right.duplicated(KEY, keep=False)].set_index(KEY)["late"]
    labels = said.drop_duplicates(KEY).set_index(KEY)["late"].reindex(once.index)
    wrong = int((labels != once).sum())
    if wrong:
        return Judged(False, f"{made.name} declares {wrong} labels that the table does not have.", f"{wrong}")
    return Judged(True, f"{made.name} declares the {len(due)} arrived flights of its seven holdout days.", "0")


def metric_recomputed(made: Made) -> Judged:
    """The metric of run and tag is that of the declared rows."""
    if made.declared.problem:
        return Judged(False, f"{made.name}: {made.declared.problem}.", "no holdout", made.evidence())
    rows = made.declared.rows
    late, p = (rows[name].to_numpy(dtype=float) for name in ("late", "p_late"))
    right = log_loss(late, p)
    ways = [log_loss(late, p, away) for away in AWAYS]
    said = {"the run's log_loss": (made.run.metrics if made.run else {}).get("log_loss")}
    said["the tag metric_value"] = _number(made.version.tags.get("metric_value"))
    metric = made.version.tags.get("metric", "")
    wrong = [
        f"{what} is {value}"
        for what, value in said.items()
        if not any(_near(value, way, METRIC_WITHIN) for way in ways)
    ]
    if metric != "log_loss":
        wrong.append(f"the tag metric is {metric[:30]!r}, not 'log_loss'")
    if wrong:
        sentence = f"{made.name}: {wrong[0]}; its holdout.csv makes a log loss of {right:.4f}."
        return Judged(False, sentence, f"{right:.4f}", made.evidence())
    return Judged(True, f"{made.name} reports the log loss of its holdout.csv, {right:.4f}.", f"{right:.4f}")


def baseline_logged(made: Made) -> Judged:
    """The run has the log loss of the training days' share of late flights on the same holdout."""
    first, last = (made.as_of - timedelta(days=n) for n in (TRAIN_FROM, TRAIN_TO))
    share = float(arrived(made.table, first, last)["late"].mean())
    late = _holdout(made)["late"].to_numpy(dtype=float)
    right = log_loss(late, np.full(len(late), share)) if len(late) else float("nan")
    said = (made.run.metrics if made.run else {}).get("baseline_log_loss")
    if not _near(said, right, BASELINE_WITHIN):
        sentence = f"{made.name} logs a baseline of {said}; {share:.4f} for every row makes {right:.4f}."
        return Judged(False, sentence, f"{said}", made.evidence())
    return Judged(True, f"{made.name} logs a baseline of {said:.4f}; {right:.4f} is right.", f"{said:.4f}")


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _near(said: float | None, right: float, within: float) -> bool:
    return said is not None and abs(said - right) <= within


# --- what is known when asked -----------------------------------------------------------------------------------------


def known_when_asked(made: Made) -> Judged:
    """The signature has none but the twelve inputs; the holdout's rates are those up to the day before."""
    if made.inputs is None:
        return Judged(False, f"{made.name} has no signature.", "no signature", made.evidence())
    others = [name for name in made.inputs if name not in INPUTS]
    if others:
        sentence = f"{made.name} takes {', '.join(others)[:80]}, which is none of the twelve inputs."
        return Judged(False, sentence, f"{len(others)}", made.evidence())
    if made.declared.problem:
        return Judged(False, f"{made.name}: {made.declared.problem}.", "no holdout", made.evidence())
    return _rates_of_before(made)


def _rates_of_before(made: Made) -> Judged:
    wrong: list[str] = []
    plain = made.table.drop_duplicates(KEY, keep="last")
    ways = [made.table] if len(plain) == len(made.table) else [made.table, plain, made.table.drop_duplicates(KEY)]
    for day, rows in made.declared.rows.groupby("date"):
        right = [_expected(rows, way, date.fromisoformat(str(day))) for way in ways]
        odd = [_odd(rows, each) for each in right]
        best = min(range(len(odd)), key=lambda n: int(odd[n].sum()))
        wrong += _examples(rows, right[best], odd[best])
    count = len(made.declared.rows)
    if len(wrong) > ODD_ROWS * count:
        sentence = f"{len(wrong)} of {count} holdout rows have rates that were not known the day before: {wrong[0]}."
        return Judged(False, sentence, f"{len(wrong)}", wrong[:60])
    return Judged(True, f"{made.name} takes the twelve inputs; the rates of {count} rows are of the days before.", "0")


def _expected(rows: pd.DataFrame, table: pd.DataFrame, day: date) -> pd.DataFrame:
    right = rates(table, day)
    found = {f"{of}_late_rate": rows[of].map(right[of]).astype(float) for of in ("carrier", "origin")}
    return pd.DataFrame(found, index=rows.index)


def _odd(rows: pd.DataFrame, right: pd.DataFrame) -> pd.Series:
    bad = pd.Series(False, index=rows.index)
    for name in RATES:
        bad |= (rows[name] - right[name]).abs() > RATES_WITHIN
        bad |= rows[name].isna() != right[name].isna()
    return bad


def _examples(rows: pd.DataFrame, right: pd.DataFrame, odd: pd.Series) -> list[str]:
    found = []
    for label in rows.index[odd]:
        row = rows.loc[label]
        name = next(name for name in RATES if not _near_or_both_missing(row[name], right.loc[label, name]))
        found.append(
            f"{name} of {row['carrier']} on {row['date']} is {row[name]:.4f}, not {right.loc[label, name]:.4f}"
        )
    return found


def _near_or_both_missing(said: float, right: float) -> bool:
    return bool(np.isnan(said) and np.isnan(right)) or abs(said - right) <= RATES_WITHIN


def labels_move_nothing(before: Made, after: Made, changed_from: date) -> Judged:
    """Labels changed from a day on: inputs of that day's holdout rows and of those before it are what they were.

    Where the stack's table shows no other label, only the rates are looked at as they stand.
    """
    for made in (before, after):
        if made.declared.problem:
            return Judged(False, f"{made.name}: {made.declared.problem}.", "no holdout", made.evidence())
    static = known_when_asked(after)
    if not static.ok:
        return static
    one, two = (made.declared.rows.drop_duplicates(KEY).set_index(KEY) for made in (before, after))
    both = one.index.intersection(two.index)
    one, two = one.loc[both], two.loc[both]
    relabelled = int((one["late"] != two["late"]).sum())
    early = both.get_level_values("date") <= str(changed_from)
    moved = _moved(one[early], two[early])
    if len(moved):
        sentence = (
            f"When {relabelled} labels changed, inputs of {len(moved)} rows of that day or before moved: {moved[0]}."
        )
        return Judged(False, sentence, f"{len(moved)}", moved[:60])
    return Judged(True, f"{relabelled} labels changed, and no input of {int(early.sum())} rows up to that day.", "0")


def _moved(one: pd.DataFrame, two: pd.DataFrame) -> list[str]:
    found = []
    for name in NUMBERS:
        if name == "distance_mi":  # of the newest row of a route, which a later delivery may have moved
            continue
        differs = ((one[name] - two[name]).abs() > RATES_WITHIN) | (one[name].isna() != two[name].isna())
        found += [
            f"{name} of {key[1]} {key[2]} on {key[0]} was {one.loc[key, name]:.4f} and is {two.loc[key, name]:.4f}"
            for key in one.index[differs][:60]
        ]
    return found


# --- likeness ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Likeness:
    """How far apart the answers of two versions are; `what` says on which questions."""

    what: str
    largest: float
    mean: float


def likeness(one: Sequence[float], two: Sequence[float], what: str) -> Likeness:
    """Of answers to the same questions."""
    apart = np.abs(np.asarray(one, dtype=float) - np.asarray(two, dtype=float))
    if not apart.size:
        raise ValueError("no answers to compare")
    return Likeness(what, float(apart.max()), float(apart.mean()))


def declared_likeness(one: Made, two: Made) -> Likeness | None:
    """Of what two versions said of the holdout rows that both had with the same inputs; None where there are none."""
    if one.declared.problem or two.declared.problem:
        return None
    first, second = (made.declared.rows.drop_duplicates(KEY).set_index(KEY) for made in (one, two))
    both = first.index.intersection(second.index)
    first, second = first.loc[both], second.loc[both]
    same = pd.Series(True, index=both)
    for name in NUMBERS:
        same &= ((first[name] - second[name]).abs() <= 1e-12) | (first[name].isna() & second[name].isna())
    if not same.any():
        return None
    return likeness(
        list(first.loc[same, "p_late"]), list(second.loc[same, "p_late"]), f"{int(same.sum())} holdout rows"
    )


def alike(one: Made, two: Made, found: Likeness | None) -> Judged:
    """Two trainings on the same data answer alike, or are one and the same version; `found` None: nothing answered."""
    names = f"Versions {one.version.version} and {two.version.version} as of {one.as_of}"
    if one.version.version == two.version.version:
        sentence = f"Both trainings as of {one.as_of} name version {one.version.version}, made before of the same data."
        return Judged(True, sentence, "one version")
    if found is None:
        return Judged(False, f"{names} answered nothing that could be compared.", "no answer")
    sentence = f"{names}, trained on the same data, differ by {found.largest:.2g} at most on {found.what}."
    return Judged(found.largest <= ALIKE, sentence, f"{found.largest:.2g}", found.__dict__)


def found_again(one: Made, after: Made, found: Likeness | None) -> Judged:
    """Where a second training named the first one's version: one made once holdout labels changed answers as it does.

    Both learn from the same rows, so that what is found again, and not trained, is held against what is trained.
    `found` is of these two. Rows may have come in another order between them: FOUND_ALIKE.
    """
    names = f"Versions {one.version.version} and {after.version.version} as of {one.as_of}"
    if one.version.version == after.version.version:
        sentence = f"All trainings as of {one.as_of} name version {one.version.version}, also after labels changed."
        return Judged(False, sentence, "one version")
    if not _same_rows(one, after):
        return Judged(True, f"Both trainings as of {one.as_of} name version {one.version.version}.", "one version")
    if found is None:
        return Judged(False, f"{names} answered nothing that could be compared.", "no answer")
    sentence = f"{names}, trained on the same rows, differ by {found.largest:.2g} at most on {found.what}."
    return Judged(found.largest <= FOUND_ALIKE, sentence, f"{found.largest:.2g}", found.__dict__)


def _same_rows(one: Made, two: Made) -> bool:
    """Whether both tables are the same up to the last day of training."""
    last = str(one.as_of - timedelta(days=TRAIN_TO))
    first, second = (made.table[made.table["date"] <= last].sort_values(KEY, ignore_index=True) for made in (one, two))
    if first.empty or second.empty:
        return False
    oldest = max(first["date"].min(), second["date"].min())  # older rows may have been dropped meanwhile
    first, second = (rows[rows["date"] >= oldest].reset_index(drop=True) for rows in (first, second))
    return bool(first.equals(second[first.columns]))


def apart(before: Made, after: Made, found: Likeness | None, noise: float) -> Judged:
    """After the holdout's labels changed, what is trained on the days before answers as it did.

    `noise` is the mean difference of two trainings of this stack on the same data: another check's, and allowed for.
    """
    names = f"versions {before.version.version} and {after.version.version}, as of {before.as_of}"
    if before.version.version == after.version.version:
        sentence = f"Labels changed, and bin/train still names version {before.version.version} as of {before.as_of}."
        return Judged(False, sentence, "no new version")
    if found is None:
        return Judged(False, f"{names} answered nothing that could be compared.", "no answer")
    limit = max(APART, NOISES * noise)
    sentence = (
        f"When only holdout labels changed, the answers of {names} differ by {found.mean:.2g} on average "
        f"({found.what}; limit {limit:.2g})."
    )
    return Judged(found.mean <= limit, sentence, f"{found.mean:.2g}", found.__dict__)


def same_digests(versions: Iterable[Made], changed: Made | None) -> Judged:
    """Trainings on the same data carry one data digest, and one on other labels carries another."""
    made = list(versions)
    for tag in ("data_digest", "code_digest"):
        said = {each.version.tags.get(tag, "") for each in made}
        if len(said) > 1 or "" in said:
            numbers = ", ".join(each.version.version for each in made)
            sentence = f"Versions {numbers} of the same data and code carry {len(said)} values of {tag}."
            return Judged(False, sentence, f"{len(said)}", [each.evidence() for each in made])
    digest = made[0].version.tags["data_digest"]
    if changed is not None and changed.version.tags.get("data_digest") == digest:
        sentence = f"{changed.name} carries the data_digest of {made[0].name}, though labels differ."
        return Judged(False, sentence, "same digest", changed.evidence())
    return Judged(True, f"{len(made)} trainings on the same data carry one data_digest.", "1")


def has_lineage(made: Made, other: Made | None, recoded: Made | None = None) -> Judged:
    """Tags, signature and holdout.csv are there; another day's data has another digest, and so has other code.

    `recoded` is a version that was made once a line of the code was another, None where there is none.
    """
    wrong = lineage_of(made.version, made.as_of)
    if made.inputs is None:
        wrong.append("no signature")
    if made.declared.problem:
        wrong.append(made.declared.problem)
    digest = made.version.tags.get("data_digest")
    if not wrong and other is not None and other.version.tags.get("data_digest") == digest:
        wrong.append(f"data_digest is that of version {other.version.version}, as of {other.as_of}")
    code = made.version.tags.get("code_digest")
    if not wrong and recoded is not None and recoded.version.tags.get("code_digest") == code:
        wrong.append(f"code_digest is that of version {recoded.version.version}, which other code made")
    if wrong:
        return Judged(False, f"{made.name}: {wrong[0]}.", f"{len(wrong)}", {**made.evidence(), "wrong": wrong})
    return Judged(True, f"{made.name} carries its tags, a signature and its holdout.csv.", "0")


def metric_holds(mine: Made, theirs: Made, hidden: Mapping[str, float], error: float, within: float) -> Judged:
    """From the declared holdout to the hidden days, log loss changes as the reference's does: the rest is the days.

    Both are taken on the holdout rows that both declared, so that other rows than were asked for are no matter here.
    `hidden` are the losses on hidden days by stack, `error` the standard error of their paired difference, over days.
    """
    if theirs.declared.problem:
        raise RuntimeError(f"the reference's {theirs.declared.problem}")
    if mine.declared.problem:
        return Judged(False, f"{mine.name}: {mine.declared.problem}.", "no holdout", mine.evidence())
    one, two = (made.declared.rows.drop_duplicates(KEY).set_index(KEY) for made in (mine, theirs))
    both = one.index.intersection(two.index)
    if len(both) < SHARED_ROWS:
        sentence = f"{mine.name} declares {len(both)} rows of the holdout; at least {SHARED_ROWS} are needed."
        return Judged(False, sentence, f"{len(both)} rows", mine.evidence())
    late = two.loc[both, "late"].to_numpy(dtype=float)
    reported = {
        name: log_loss(late, rows.loc[both, "p_late"].to_numpy(dtype=float))
        for name, rows in (("candidate", one), ("reference", two))
    }
    gaps = {name: hidden[name] - reported[name] for name in reported}
    difference = gaps["candidate"] - gaps["reference"]
    sentence = (
        f"{reported['candidate']:.3f} on {len(both)} holdout rows, {hidden['candidate']:.3f} on hidden days; the "
        f"reference's {reported['reference']:.3f} and {hidden['reference']:.3f}: the changes differ by "
        f"{difference:+.3f} (limit {within + error:.3f})."
    )
    details = {"reported": reported, "hidden": dict(hidden), "standard_error": error, "rows": len(both)}
    return Judged(abs(difference) <= within + error, sentence, f"{difference:+.3f}", details)
