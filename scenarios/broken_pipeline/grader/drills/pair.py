"""The two stacks of this scenario: hidden flights and models, what is delivered to both, and the training job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from scenario_base.drills import pair
from scenario_base.drills.rows import Flight, read_flights

from harness.errors import BadAnswer
from harness.model import Bench, JobResult, Stack
from harness.probes.registry import Version

from . import tables
from .feeds import Files
from .truth import LATE_AFTER_MIN, Deliveries, Truth

HIDDEN_DAYS = 11
"""The business date and the days after it of which the flights are known."""

TABLE_DAYS = 81
COMPARED_DAYS = 75
"""Older rows may have been dropped by a night of a later date."""

TRAIN_S = 60.0
"""Twice what the brief gives a training, for both stacks may run theirs at once; a slow machine gives longer."""


@dataclass(frozen=True)
class Trained:
    """What bin/train said: the version, None where its last line names none that the registry has."""

    result: JobResult
    version: Version | None

    @property
    def problem(self) -> str:
        """What is wrong with the run of the job, "" where a version came of it."""
        if self.result.exit_code is None:
            return f"bin/train did not end: it was stopped after {self.result.seconds:.0f} s"
        if self.result.exit_code:
            return f"bin/train ended with exit code {self.result.exit_code}"
        return "" if self.version else "the last line of bin/train names no version of the registry"


class Pair(pair.Pair):
    """See `scenario_base.drills.pair`."""

    night_s = 90.0
    roles = ("alpha", "beta", "gamma", "good", "good_again", "nearly_good", "worse", "too_high", "constant")
    same_bytes: Mapping[str, str] = {"good_again": "good"}

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.delivered = Deliveries()
        self.submitted = {each.version: each.created for each in self.registry[self.candidate.name].versions()}
        """When a version was made, by its number: those of the registry that was submitted."""
        self.common = True
        """Whether both stacks can be made to serve the same model, as far as is known."""

    def given_history(self) -> dict[str, int]:
        """See `pair.Pair`. From the first fault's night on a given registry has other versions than the reference."""
        onsets = [fault.onset for fault in self.bench.variant.faults if fault.onset is not None]
        until = datetime.combine(min(onsets, default=self.today), time(), UTC).timestamp() * 1000
        return {version: created for version, created in super().given_history().items() if created < until}

    def hidden_flights(self) -> list[Flight]:
        """See `pair.Pair`."""
        return read_flights(self.bench.site.private, self.today, HIDDEN_DAYS, LATE_AFTER_MIN)

    def tags(self, role: str) -> dict[str, str]:
        """See `pair.Pair`."""
        return self.dated(role)

    # --- versions ---------------------------------------------------------------------------------------------------

    def serve(self, role: str) -> bool:
        """Precondition: both stacks serve a role's model; False where the candidate cannot be made to.

        Then what is compared must not depend on the model (see `common`).
        """
        try:
            self.common = super().serve(role)
        except BadAnswer as exc:
            if exc.stack != self.candidate.name or not self.pinned:
                raise
            self.common = False
        return self.common

    def serve_own(self, versions: Mapping[str, Version]) -> bool:
        """Precondition: each stack serves a version of its own registry; False where the candidate does not."""

        def each(stack: Stack) -> None:
            self.switch(stack, versions[stack.name].version)
            if stack is self.reference:
                self.await_version(stack, versions[stack.name].version, pair.FOLLOW_S)
            elif not self.pinned:
                self.bring(versions[stack.name].version)

        self.both(each)
        return self.pinned in ("", versions[self.candidate.name].version)

    def train(self, stack: Stack, as_of: date) -> Trained:
        """Run bin/train and read which version it made or found."""
        result = stack.run_job("train", ["--as-of", str(as_of)], TRAIN_S * self.bench.pace)
        number = said_version(result.output)
        return Trained(result, self.registry[stack.name].version(number) if number else None)

    # --- deliveries and tables --------------------------------------------------------------------------------------

    def given(self) -> None:
        """Read what lies in feeds/ from the start: the same in both workspaces, for it is fixed. Read once."""
        if self.delivered.all():
            return
        root = self.bench.site.workspace
        feeds = (path for path in (root / "feeds").rglob("*") if path.is_file())
        self.delivered.add({path.relative_to(root).as_posix(): path.read_bytes() for path in feeds})

    def advance(self, to: date, files: Files) -> None:
        """Deliver files to both stacks and move their business date."""
        self.both(lambda stack: stack.advance_day(to, files))
        self.delivered.add(files)
        self.today = to

    def truth(self) -> Truth:
        """What the tables must hold after a night of today."""
        self.given()
        return self.delivered.truth(self.today, TABLE_DAYS)

    def compared_from(self) -> date:
        """The first day of which tables are compared: no older row of the fresh stack's."""
        return self.bench.variant.business_date - timedelta(days=COMPARED_DAYS)

    def table(self, stack: Stack) -> pd.DataFrame:
        """A stack's canonical table as it stands. Raises StackError."""
        return tables.read(stack)


def said_version(output: str) -> str | None:
    """The version that the last line of a job's output names, or None."""
    lines = [line for line in output.splitlines() if line.strip()]
    try:
        said: Any = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):
        return None
    number = str(said.get("version")) if isinstance(said, dict) else ""
    return number if number.isascii() and number.isdigit() and len(number) < 10 else None


def coming(private: Path, night: date) -> Files:
    """What the story delivers on a hidden night, by path in the workspace."""
    folder = private / "feeds" / str(night)
    files = (path for path in folder.rglob("*") if path.is_file())
    return {f"feeds/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}
