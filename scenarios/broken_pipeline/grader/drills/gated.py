"""Judges what a gate decided, by log losses on the holdout: of versions by what they declare, of models by a table.

The grader's models are asked here with inputs that a candidate's code has written, or that its table makes.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scenario_base.drills.nights import Night

from . import training
from .inputs import NUMBERS, RATES, TEXTS, Models
from .landed import Judged
from .training import HOLDOUT_DAYS, Made
from .truth import rates

MARGIN = 0.003
"""Log loss: what is promoted is better by more (BRIEF.md)."""

ROUNDED = 0.0003
"""Log loss: gates keep risks away from 0 and 1 by other amounts, and a file may have fewer digits."""

CLEAR, ERRORS = 0.02, 3.0
"""A gain of both so much log loss and so many standard errors beyond the margin is more than any gate may ask for: the
brief speaks of "a standard error or two"."""

BELOW_MARGIN = (0.0003, 0.0027)
"""Gains that are gains, and that no gate may take for one. The story's pair differs by 0.0015 on the right table."""

LARGEST = 1e6
"""Of a number that a model is asked with."""

Floats = NDArray[np.float64]


def night_gated(night: Night, made: Made, standing: Floats) -> Judged:
    """A night without --challenger promoted its version only where that is better, and held no far better one back.

    A gate may ask that a version beats a constant on its holdout; one that does not may be held for that.

    `standing` are the champion's risks on the rows that `made`, the night's version, declares as its holdout.
    """
    if made.declared.problem:
        return Judged(False, f"{made.name}: {made.declared.problem}.", "no holdout", made.evidence())
    rows = made.declared.rows
    late = rows["late"].to_numpy(dtype=float)
    gains = training.losses(late, standing) - training.losses(late, rows["p_late"].to_numpy(dtype=float))
    gain, error = float(gains.mean()), error_over_days(rows["date"], gains)
    said = str(night.report.get("decision", "no decision"))[:20]
    figures = f"its log loss is {gain:.4f} lower than the champion's (standard error {error:.4f})"
    details = {**night.evidence(), "gain": gain, "gain_error": error}
    wrong = _wrong(night, made, gain, error)
    if wrong:
        return Judged(
            False, f"The night of {night.day} {wrong} version {made.version.version}: {figures}.", said, details
        )
    return Judged(True, f"The night of {night.day}: {said}; {figures}.", said, details)


def _wrong(night: Night, made: Made, gain: float, error: float) -> str:
    if night.promoted and gain < MARGIN - ROUNDED:
        return "promoted"
    if not night.promoted and gain > max(CLEAR, MARGIN + ERRORS * error) and beats_a_constant(made.declared.rows):
        return "held back"
    if night.promoted and night.after.champion != made.version.version:
        return f"made version {night.after.champion} champion and not"
    return ""


def beats_a_constant(rows: pd.DataFrame) -> bool:
    """Whether the risks that a version declares have a lower log loss than the share of late flights among its rows."""
    late = rows["late"].to_numpy(dtype=float)
    own, constant = (
        training.losses(late, p) for p in (rows["p_late"].to_numpy(dtype=float), np.full(len(late), late.mean()))
    )
    return bool(own.mean() < constant.mean())


def error_over_days(days: pd.Series, gains: Floats) -> float:
    """Standard error of the mean gain: flights of a day share its weather, so whole days are what is drawn."""
    sums = pd.Series(gains - gains.mean()).groupby(days.to_numpy()).sum()
    return float(np.sqrt((sums**2).sum()) / len(gains))


def declared_risks(models: Models, role: str, made: Made) -> Floats:
    """A role's risks on the rows that a version declares as its holdout; empty where it declares none."""
    return _risks(models, role, made.declared.rows) if not made.declared.problem else np.empty(0)


def gain_on(rows: pd.DataFrame, models: Models, challenger: str, champion: str) -> float:
    """How much lower a role's log loss is than another's on rows with inputs and `late`; NaN without rows."""
    late = rows["late"].to_numpy(dtype=float)
    mine, theirs = (training.losses(late, _risks(models, role, rows)) for role in (challenger, champion))
    return float((theirs - mine).mean()) if len(rows) else float("nan")


def holdout(table: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """The arrived flights of the seven days before a day with the twelve inputs, as a table makes them."""
    days = [as_of - timedelta(days=before) for before in range(HOLDOUT_DAYS, 0, -1)]
    return pd.concat([_of_day(table, day) for day in days], ignore_index=True)


def _of_day(table: pd.DataFrame, day: date) -> pd.DataFrame:
    rows, known = training.arrived(table, day, day), rates(table, day)
    late_rates = {name: rows[name.removesuffix("_late_rate")] for name in RATES}
    late_rates = {name: of.map(known[str(of.name)]).astype(float) for name, of in late_rates.items()}
    return rows.assign(hour=pd.to_numeric(rows["sched_dep"].str[11:13], errors="coerce"), **late_rates)


def _risks(models: Models, role: str, rows: pd.DataFrame) -> Floats:
    """What a model says of any rows: text that is missing is unknown, numbers that no model can take are missing."""
    texts = {name: rows[name].fillna("").astype(str) for name in TEXTS}
    numbers = {name: rows[name].where(rows[name].abs() <= LARGEST) for name in NUMBERS}
    return models.risks(role, rows.assign(**texts, **numbers).to_dict("records"))
