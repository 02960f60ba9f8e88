"""The monitor's windows: 500 answers each, clean ones and ones with a known defect. Used by history.py only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = 500
CLEAN = 10
UNKNOWN_SHARE = 0.2
"""Share of a clean window's answers whose flight has not arrived yet."""

STALE_VERSION = "2"
STALE_DAYS = (50, 75, 110)
"""Days from the end of a stale model's training to the business date; 45 are the limit of the briefs."""

Risk = Callable[[pd.DataFrame], Any]
Change = Callable[[pd.DataFrame, np.random.Generator], pd.Series]
Defect = tuple[str, str, Change]
"""Column, what was done to it, how."""

Window = tuple[str, str | None, str, pd.DataFrame]
"""Kind, subject, what it shows, rows."""


def at(airport: str, column: str, change: Callable[[pd.Series], pd.Series]) -> Change:
    """A column is changed where flights leave from one airport."""

    def changed(rows: pd.DataFrame, _: np.random.Generator) -> pd.Series:
        return rows[column].where(rows["origin"] != airport, change(rows[column]))

    return changed


def some(column: str, share: float, value: float | str) -> Change:
    """A share of a column, drawn by chance, has another value."""

    def changed(rows: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
        return rows[column].mask(rng.random(len(rows)) < share, value)

    return changed


@dataclass(frozen=True)
class Maker:
    """Draws windows from rows of the snapshot's days; p_late is the model's.

    `inputs` are the model's columns; `said` are the columns after p_late that are the same in every row.
    """

    rows: pd.DataFrame
    inputs: Sequence[str]
    risk: Risk
    said: Mapping[str, str]
    today: date
    rng: np.random.Generator

    def draw(self) -> pd.DataFrame:
        """The inputs of a window."""
        picked = self.rng.choice(len(self.rows), ROWS, replace=False)
        return self.rows.iloc[np.sort(picked)][list(self.inputs)].reset_index(drop=True)

    def window(self, inputs: pd.DataFrame, late: bool = True, **changes: Any) -> pd.DataFrame:
        """A window by the brief; `late` draws labels from the risk, some unknown; `changes` replace columns."""
        p = np.round(self.risk(inputs), 6)
        labels = pd.array((self.rng.random(ROWS) < p).astype(int), dtype="Int64")
        labels[self.rng.random(ROWS) < (UNKNOWN_SHARE if late else 1.1)] = pd.NA
        return inputs.assign(p_late=p, **self.said, late=labels).assign(**changes)

    def day(self, before: int) -> str:
        """The day that many days before the business date."""
        return str(self.today - timedelta(days=before))


def write(folder: Path, frames: Iterable[pd.DataFrame], index: Iterable[Mapping[str, Any]]) -> None:
    """Write windows, and index.json with an id, the file and what `index` says of each."""
    folder.mkdir(parents=True, exist_ok=True)
    named = []
    for number, (frame, entry) in enumerate(zip(frames, index, strict=True)):
        name = f"w{number:02d}"
        frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        named.append({"id": name, "file": f"{name}.csv", **entry})
    (folder / "index.json").write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")


def write_windows(folder: Path, windows: Sequence[Window]) -> None:
    """Write windows for the grader, with kind, subject and what each shows."""
    said = [{"kind": kind, "subject": subject, "what": what} for kind, subject, what, _ in windows]
    write(folder, [frame for *_, frame in windows], said)


def clean(maker: Maker) -> list[Window]:
    """Windows with nothing wrong; of every other one no label is known yet, so that this tells nothing."""
    return [("clean", None, "clean", maker.window(maker.draw(), late=n % 2 == 0)) for n in range(CLEAN)]


def changed(maker: Maker, kind: str, defect: Defect, late: bool = False) -> Window:
    """A window with one column changed; without `late` no label is known yet."""
    column, what, change = defect
    inputs = maker.draw()
    return kind, column, what, maker.window(inputs.assign(**{column: change(inputs, maker.rng)}), late=late)


def each_changed(maker: Maker, kind: str, defects: Sequence[Defect]) -> list[Window]:
    """A window for each defect; of every other one the labels are known, as of clean ones."""
    return [changed(maker, kind, defect, late=n % 2 == 0) for n, defect in enumerate(defects)]


def model_stale(maker: Maker) -> list[Window]:
    """Windows answered by a model whose training ended long ago."""
    return [
        (
            "model_stale",
            None,
            f"D-{n}",
            maker.window(maker.draw(), model_train_to=maker.day(n), model_version=STALE_VERSION),
        )
        for n in STALE_DAYS
    ]


def quality(maker: Maker) -> list[Window]:
    """Answers that are wrong: a quarter of the risk, one risk for all, the risk of the opposite."""
    wrong: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("a quarter of the risk", lambda p: p / 4),
        ("one risk for all, far too high", lambda p: p * 0 + 0.8),
        ("the opposite", lambda p: 1 - p),
    )
    made: list[Window] = []
    for what, change in wrong:
        frame = maker.window(maker.draw())
        made.append(("quality", None, what, frame.assign(p_late=change(frame["p_late"]).round(6))))
    return made
