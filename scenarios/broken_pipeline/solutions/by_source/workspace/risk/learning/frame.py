"""Rows to learn from and to be judged on: the twelve inputs as they were known when a question could be asked."""

from datetime import date, timedelta
from typing import NamedTuple

import pandas as pd
from risk.base import CODES, INPUTS, KEY, NUMBERS
from risk.landing import partitions

LATE = 60
RATES = 14


class Split(NamedTuple):
    """The days of a training, both ends included."""

    train_from: date
    train_to: date
    holdout_from: date
    holdout_to: date

    @classmethod
    def of(cls, today: date) -> "Split":
        """D-67 to D-8, and D-7 to D-1."""
        return cls(*(today - timedelta(n) for n in (67, 8, 7, 1)))


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Arrived flights with `late`, and `day` as a time."""
    rows = rows[rows["arr_delay_min"].notna()]
    return rows.assign(late=(rows["arr_delay_min"] > LATE).astype(int), day=pd.to_datetime(rows["date"]))


def rates(arrived: pd.DataFrame, code: str) -> pd.DataFrame:
    """`code`, `day` and the share of late flights of the 14 days before that day; up to the day after the last."""
    daily = arrived.groupby([code, "day"])["late"].agg(["sum", "count"]).unstack(code, fill_value=0)
    whole = pd.date_range(daily.index.min(), daily.index.max() + pd.Timedelta(days=1))
    before = daily.reindex(whole, fill_value=0).rolling(RATES, min_periods=1).sum().shift(1)
    share = (before["sum"] / before["count"]).where(before["count"] > 0)
    return share.rename_axis("day").stack().rename(f"{code}_late_rate").reset_index()


def examples(first: date, last: date) -> pd.DataFrame:
    """Key, inputs and `late` of the arrived flights of these days."""
    arrived = labelled(partitions.rows(first - timedelta(RATES), last))
    for code in CODES:
        arrived = arrived.merge(rates(arrived, code), how="left", on=[code, "day"])
    arrived = arrived.assign(hour=arrived["sched_dep"].str[11:13].astype(float))
    chosen = arrived[arrived["date"] >= str(first)].sort_values(KEY, ignore_index=True)
    return typed(chosen[list(dict.fromkeys([*KEY, *INPUTS, "late"]))])


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Codes as objects and numbers as doubles, as models of the contract take them."""
    return frame.astype({**dict.fromkeys(CODES, object), **dict.fromkeys(NUMBERS, "float64")})
