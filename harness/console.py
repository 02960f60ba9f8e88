"""What the command line shows: tables, progress and scores. Colours only on a terminal; plain lines into pipes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from harness import report
from harness.bench import Progress as GradingProgress
from harness.model import Outcome, RunRecord, Score
from harness.text import one_line

# A colon in a candidate's text is a colon: `:warning:` is printed as it stands.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

__all__ = [
    "MARKS",
    "err",
    "escape",
    "foreign",
    "grading_bar",
    "out",
    "say",
    "show_json",
    "show_markdown",
    "table",
]

SENTENCES, SENTENCE = 12, 240
"""How many lost points are told, and how long each may be; the report has them all."""

MARKS = {True: "[green]ok[/]", False: "[red]no[/]", None: "[yellow]unsure[/]"}


def show_json(value: Any) -> None:
    """Print a record, or anything JSON can hold, as JSON."""
    content = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    out.print(json.dumps(content, indent=1, default=str), markup=False)


def show_markdown(text: str) -> None:
    """Print Markdown: rendered on a terminal, as it is into a pipe."""
    out.print(Markdown(text) if out.is_terminal else text, markup=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print a table; tab-separated lines into a pipe."""
    if not out.is_terminal:
        for row in (columns, *rows):
            out.file.write("\t".join(_bare(cell) for cell in row) + "\n")
        return
    shown = Table(*columns, title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for row in rows:
        shown.add_row(*row)
    out.print(shown)


def foreign(text: str) -> str:
    """A candidate's text as it may stand in a table: one line, no control characters, no markup."""
    return escape(one_line(text, SENTENCE))


def say(what: str) -> None:
    """One line of progress, on the error stream, so that output stays clean."""
    err.print(f"[dim]·[/] {what}" if err.is_terminal else f". {what}")


@contextmanager
def grading_bar(label: str) -> Iterator[GradingProgress]:
    """A progress bar of checks with a result; a line for each new step where there is no terminal."""
    if not err.is_terminal:
        yield _lines(label)
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.fields[label]}[/]"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.description}[/]"),
        console=err,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None, label=label)
        yield lambda what, done, of: bar.update(task, description=what[:60], completed=done, total=of)


def _lines(label: str) -> GradingProgress:
    last: list[int] = [-1]

    def show(what: str, done: int, of: int) -> None:
        if done // 5 != last[0]:
            last[0] = done // 5
            err.print(f". {label}: {done}/{of} {what}", markup=False)

    return show


def _points(score: Score) -> str:
    return report.span(score.low, score.high) + ("" if score.complete else " (incomplete)")


def _lost(record: RunRecord) -> list[tuple[str, str]]:
    """Where points went as (points, sentence), most points first; withheld ones, not lost, have a question mark."""
    rows = []
    for entry in report.lost(record.score):
        points = f"{entry.points - entry.withheld:g}{'?' if entry.withheld else ''}"
        result = entry.item.result
        said = entry.item.why if result.outcome is Outcome.PASS else result.sentence or entry.item.why
        rows.append((points, f"{entry.item.spec.promise} {said}"))
    return rows + list(_unsaid(record.score))


def _unsaid(score: Score) -> Iterator[tuple[str, str]]:
    """What the diagnosis lost: its points in one line, then what was not said or said wrongly."""
    claims, facts = report.said(score)
    for name, had in (("claims", claims), ("facts", facts)):
        if had.low < had.possible:
            told = report.earned(had)
            yield f"{had.low - had.possible:.3g}", f"The diagnosis: its {name} came to {told} points."
    for claim in score.claims:
        if claim.points <= 0 and claim.fault:
            yield "", f"{claim.fault}: {claim.sentence}"
        elif claim.points < 0:
            yield "", f"{claim.component} / {claim.kind}: {claim.sentence}"
    for fact in score.facts:
        if fact.points < fact.possible:
            yield "", f"{fact.name}: {fact.said or 'nothing'} was said, {fact.true} is true."


def side_by_side(records: Sequence[tuple[str, RunRecord]]) -> None:
    """Scores of several runs beside each other, by skill, with where the points went."""
    columns = ["", *(label for label, _ in records)]
    rows = [["score", *(f"[bold]{_points(record.score)}[/]" for _, record in records)]]
    for same in zip(*(report.skills(record.score) for _, record in records), strict=True):
        rows.append([same[0].skill.value, *map(_skill, same)])
    rows.append(["seconds", *(f"{record.seconds:.0f}" for _, record in records)])
    table(columns, rows)
    for label, record in records:
        gone = _lost(record)
        out.print(f"\n[bold]{label}[/]: {'where the points went' if gone else 'nothing lost'}")
        for worth, sentence in gone[:SENTENCES]:
            out.print(f"  {worth:>5}  {one_line(sentence, SENTENCE)}", markup=False)
        if len(gone) > SENTENCES:
            out.print(f"         and {len(gone) - SENTENCES} more, in the report")


def _skill(item: report.SkillPoints) -> str:
    points = report.earned(item.points)
    return points if item.examined else f"{points} (not examined)"


def _bare(cell: str) -> str:
    return Console(color_system=None, emoji=False).render_str(cell).plain
