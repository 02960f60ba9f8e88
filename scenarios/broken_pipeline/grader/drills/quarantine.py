"""Judges what a stack did about deliveries that break the published rules."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from harness.model import Stack

from .landed import Judged

ENOUGH = 0.5
"""Share of a source's day that must be there to say that it landed: whether all of it did is another check's."""


@dataclass(frozen=True)
class Refusal:
    """A delivery that was refused, or should have been, and what a stack has of it.

    record   quarantine/<source>/<date>.json, {} where there is none that can be read
    alerts   new alerts since before its night
    rows     rows of the source's day in the table
    """

    source: str
    day: date
    number: int
    record: Mapping[str, Any]
    alerts: Sequence[Mapping[str, Any]]
    rows: int

    @property
    def where(self) -> str:
        """How a sentence calls it."""
        return f"{self.source} {self.day}"


def refusal(
    stack: Stack, table: pd.DataFrame, alerts: Sequence[Mapping[str, Any]], source: str, day: date, number: int = 1
) -> Refusal:
    """What a stack has of a delivery that should be refused."""
    rows = int(((table["origin"] == source) & (table["date"] == str(day))).sum())
    return Refusal(source, day, number, record(stack, source, day), alerts, rows)


def record(stack: Stack, source: str, day: date) -> dict[str, Any]:
    """quarantine/<source>/<date>.json, {} where there is none that can be read."""
    raw = stack.read(f"quarantine/{source}/{day}.json")
    try:
        found = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        found = {}
    return found if isinstance(found, dict) else {}


def refused(found: Refusal) -> str:
    """What is wrong with how a delivery was refused, "" where it was refused and said."""
    if found.rows:
        return f"{found.rows} rows of {found.where} are in the table"
    if not found.record:
        return f"there is no quarantine/{found.source}/{found.day}.json that can be read"
    wrong = _record_wrong(found)
    if wrong:
        return wrong
    if found.source not in alerted(found.alerts):
        return f"no new alert source_quarantined has the subject {found.source}"
    return ""


def alerted(alerts: Sequence[Mapping[str, Any]]) -> set[str]:
    """The sources that alerts call quarantined; only what is a source's name and no more is one."""
    return {str(each.get("subject")) for each in alerts if each.get("kind") == "source_quarantined"}


def _record_wrong(found: Refusal) -> str:
    said = found.record
    place = f"quarantine/{found.source}/{found.day}.json"
    for key, right in (("source", found.source), ("date", str(found.day)), ("delivery", str(found.number))):
        if str(said.get(key)) != right:
            return f"{place} says {key} {str(said.get(key))[:30]!r}, not {right!r}"
    if not str(said.get("reason") or "").strip():
        return f"{place} gives no reason"
    return "" if said.get("released") is None else f"{place} says that it is released"


def all_refused(found: Sequence[Refusal], reported: Collection[str], before: Collection[str] = ()) -> Judged:
    """Every one of some deliveries was refused and said, and no other is said to be.

    `reported` are the sources that the night's report names, `before` others of which something was refused on one of
    the grader's nights before: that an alert says so again costs nothing.
    """
    wrong = [problem for each in found if (problem := refused(each))]
    due = {each.source for each in found}
    wrong += [f"the night's report does not name {source}" for source in sorted(due - set(reported))]
    others = sorted(set(reported) - due)
    wrong += [f"the night's report names {source[:20]}, of which nothing was refused" for source in others]
    said = set().union(*(alerted(each.alerts) for each in found)) - due - set(before)
    wrong += [f"an alert says that {source[:20]} is quarantined, of which nothing was" for source in sorted(said)]
    details = [{"where": each.where, "record": dict(each.record), "rows": each.rows} for each in found]
    if wrong:
        return Judged(False, f"{wrong[0][0].upper()}{wrong[0][1:]}.", f"{len(wrong)} of {len(found)}", details)
    where = " and ".join(each.where for each in found)
    return Judged(True, f"{where}: refused with a reason and an alert, and nothing of it landed.", "0", details)


def landed(table: pd.DataFrame, keys: pd.DataFrame, source: str, day: date) -> str:
    """What is wrong with a source's day that should have landed, "" where most of it is there.

    `keys` are its rows by right, with the key as columns.
    """
    rows = table[(table["origin"] == source) & (table["date"] == str(day))]
    there = len(rows.drop_duplicates(["carrier", "flight"]))
    if not len(keys):
        raise RuntimeError(f"nothing was delivered of {source} for {day}")
    return "" if there >= ENOUGH * len(keys) else f"{there} of {len(keys)} rows of {source} {day} are in the table"


def released(found: Mapping[str, Any], source: str, day: date, night: date) -> str:
    """What is wrong with the record of a delivery that was mended, "" where it says the night of its release."""
    place = f"quarantine/{source}/{day}.json"
    if not found:
        return f"{place} is not there any more"
    said = str(found.get("released"))[:30]
    return "" if said == str(night) else f"{place} says released {said}, not {night}"
