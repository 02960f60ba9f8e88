"""An answer leads to what made it, and so does its line in the log of answers (state/predictions/<date>.csv)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from scenario_base.drills import lineage
from scenario_base.drills.pair import FOLLOW_S
from scenario_base.drills.rows import AGREE, Row

from harness.errors import BadAnswer
from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.wait import until

from .pair import Pair

ASKED = 4
LOGGED = 5e-5 + AGREE
"""A log may round its risks to four digits."""

FLIGHT = ("carrier", "flight", "origin", "dest")

Line = Mapping[str, str | None]


def answer_resolves(pair: Pair, before: Mapping[str, Finding]) -> Callable[[Stack], Finding]:
    """What `lineage.answer_resolves` looks for, and the log says of a few answers what they said themselves."""
    resolves = lineage.answer_resolves(pair, before)

    def probe(stack: Stack) -> Finding:
        found = resolves(stack)
        if not found.ok:
            return found
        today, rows = pair.today, pair.fresh_for(stack, ASKED)
        asked = list(zip(rows, pair.ask_each(stack, rows), strict=True))
        path = f"state/predictions/{today}.csv"

        def look() -> str | None:
            lines = read(stack.read(path))
            return next((text for row, answer in asked if (text := wrong(lines, row, answer, today))), None)

        try:
            until(stack, f"{path} has the answers as they were given", look, FOLLOW_S * pair.bench.pace)
        except BadAnswer as exc:  # the log is no matter of the checks that look at the same answers
            return Finding(False, str(exc), found.measured, found.evidence)
        sentence = f"{found.sentence.rstrip('.')}, and so does its line in {path}."
        return Finding(True, sentence, found.measured, found.evidence)

    return probe


def read(raw: bytes | None) -> dict[str, Line]:
    """The last line of each row id; none where the log is not there or is no CSV."""
    try:
        lines: Sequence[Line] = list(csv.DictReader(io.StringIO((raw or b"").decode("utf-8", "replace"))))
    except csv.Error:
        return {}
    return {str(line.get("row_id")): line for line in lines}


def wrong(lines: Mapping[str, Line], row: Row, answer: Answer, today: date) -> str:
    """What the log lacks or says otherwise of an answer; "" where nothing."""
    line = lines.get(row["row_id"])
    if line is None:
        return f"no line with row_id {row['row_id']}"
    due = {name: str(row[name]) for name in FLIGHT}
    due |= {"model_version": answer.model.version, "feature_date": answer.feature_date or "", "scored_at": str(today)}
    for name, right in due.items():
        if (line.get(name) or "") != right:
            return f"{name} of {row['row_id']} is {str(line.get(name))[:40]!r}, not {right!r}"
    try:
        agrees = abs(float(line.get("p_late") or "nan") - answer.p_late) <= LOGGED
    except ValueError:
        agrees = False
    return "" if agrees else f"p_late of {row['row_id']} is {str(line.get('p_late'))[:40]!r}, not {answer.p_late}"
