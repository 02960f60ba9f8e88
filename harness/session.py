"""The lifecycle of an attempt, from start to report, in the order in which it happens.

Everything lies below one home folder (EXAM_HOME, else .exam here):

    cache/          laid-out variants, to copy from
    attempts/<id>/  one attempt while it lasts: attempt.json, workspace, registry, private, clock, run, runtime
    submissions/<id>/   submission.tar.gz, submission.json, sealed.json (what was drawn)
    journals/<id>.jsonl

Where a runtime leads attempts by a proctor (`Runtime.proctored`), clock, workspace and submission are inside its stack:
they are asked for there, and what was frozen is collected.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

from filelock import FileLock
from pydantic import ValidationError

from harness import grading, report
from harness import scenario as scenarios
from harness import variant as variants
from harness.attempt import Attempt, keep, read_submission
from harness.bench import Progress as GradingProgress
from harness.errors import AttemptError, EnvironmentFault, ExamError, SubmissionError, UsageError
from harness.journal import Journal
from harness.layout import Layouts
from harness.leading import Here, Leader
from harness.led import Led, LedStack
from harness.model import Event, RunRecord, Submission
from harness.runtime.base import RunningStack, ServiceStatus
from harness.runtime.process import ProcessRuntime
from harness.runtimes import left_over, runtime_named
from harness.scenario import Scenario
from harness.starting import Starter, need_services

Say = Callable[[str], None]


class Session:
    """Everything that can be done with attempts below one home folder. Nothing here prints."""

    def __init__(self, home: Path, roots: Sequence[Path] = (), say: Say = lambda _: None) -> None:
        self.home = home.resolve()  # what runs is found by its folder, by whatever path it was named
        self.roots = tuple(roots)
        self._say = say
        self.layouts = Layouts(self.home / "cache", say)

    # --- start -------------------------------------------------------------------------------------------------------

    def start(
        self,
        scenario_id: str,
        seed: int,
        *,
        name: str,
        runtime: str = "process",
        ports: Mapping[str, int] | None = None,
    ) -> tuple[Attempt, RunningStack]:
        """Lay out a variant, bring its stack up, and look whether each drawn fault is in place.

        Raises UsageError for a name in use, an unknown runtime or a port of no service, EnvironmentFault and NotReady
        as the runtime does, and ExamError when a fault is not in place. Nothing is left of an attempt that did not
        start.
        """
        scenario = scenarios.find(scenario_id, self.roots)
        runner = runtime_named(runtime, self.home)
        need_services(scenario, ports or {})
        starter = Starter(
            scenario=scenario,
            variant=variants.draw(scenario, seed),
            folder=self._new_folder(name),
            home=self.home,
            runner=runner,
            layouts=self.layouts,
            journal=self.journal(name),
            say=self._say,
        )
        return starter.start(ports or {})

    def _new_folder(self, name: str) -> Path:
        if not name or not all(char.isalnum() or char in "-_" for char in name) or len(name) > 40:
            raise UsageError(
                f"{name!r} is not a valid name for an attempt.", "Use letters, digits, - and _, at most forty."
            )
        folder = self.home / "attempts" / name
        if folder.exists():
            raise UsageError(
                f"There is an attempt {name!r} already.", f"End it with `exam down {name}`, or take another name."
            )
        if (self.home / "submissions" / name).exists():
            raise UsageError(f"An attempt {name!r} was submitted before.", "Take another name with --name.")
        folder.mkdir(parents=True)
        self._set_aside(self.journal(name).path)
        return folder

    def _set_aside(self, journal: Path) -> None:
        """Give the journal of an earlier attempt of that name, which was never submitted, a name of its own."""
        if journal.is_file():
            names = (journal.with_suffix(f".{number}.jsonl") for number in count(1))
            journal.replace(next(name for name in names if not name.exists()))

    # --- work --------------------------------------------------------------------------------------------------------

    def attempts(self, name: str = "") -> Iterator[Attempt]:
        """The attempts that last, sorted by name; with a name that one alone, if it lasts.

        Raises AttemptError for one that another version of the harness has begun.
        """
        for folder in self._lasting():
            if name in ("", folder.name):
                yield _recorded(folder / "attempt.json")

    def _lasting(self) -> list[Path]:
        """The folders of the attempts that last, also of those that another version has begun."""
        return sorted(path.parent for path in (self.home / "attempts").glob("*/attempt.json"))

    def attempt(self, name: str = "") -> Attempt:
        """An attempt by name, or the only one there is. Raises AttemptError naming those there are."""
        lasting = [folder.name for folder in self._lasting()]
        found = [known for known in lasting if name in ("", known)]
        if len(found) == 1:
            return next(self.attempts(found[0]))
        if not lasting:
            raise AttemptError(
                "No attempt is under way.",
                "Run `exam start SCENARIO`; or set EXAM_HOME to the folder in which one was started.",
            )
        known = ", ".join(lasting)
        if name:
            raise AttemptError(f"There is no attempt {name!r}; there are: {known}.", "Give one with --name.")
        raise AttemptError(f"Several attempts are under way: {known}.", "Say which with --name.")

    def scenario_of(self, attempt: Attempt) -> Scenario:
        """The scenario of an attempt: from where it was started, else by its name below the roots.

        A public one is found here, too. Raises UsageError for any other: a public one of that name is not the same.
        """
        if attempt.folder_of_scenario.is_dir():
            return scenarios.load(attempt.folder_of_scenario)
        if attempt.public or any((root / attempt.scenario / "scenario.toml").is_file() for root in self.roots):
            return scenarios.find(attempt.scenario, self.roots)
        raise UsageError(
            f"The scenario of {attempt.id!r} is not in {attempt.folder_of_scenario} any more.",
            "Put it back, or name the folder that holds it now: `exam grade --scenarios FOLDER`.",
        )

    def stack(self, attempt: Attempt) -> RunningStack:
        """The live stack of an attempt."""
        return runtime_named(attempt.runtime, self.home).attach(self._folder(attempt) / "run")

    def leader(self, attempt: Attempt) -> Leader:
        """Who leads an attempt: this session, or the proctor in its stack."""
        runner = runtime_named(attempt.runtime, self.home)
        journal = self.journal(attempt.id)
        if runner.proctored:
            return Led(cast(LedStack, self.stack(attempt)), journal.path)
        find = partial(self.scenario_of, attempt)
        return Here(attempt, find, self._folder(attempt), journal, self.layouts, runner, self._say)

    def status(self, attempt: Attempt) -> tuple[ServiceStatus, ...]:
        """The services of an attempt as they stand now; the harness's own clock is not shown."""
        return tuple(line for line in self.stack(attempt).status() if line.name != "deadline")

    def restart(self, attempt: Attempt, service: str) -> float:
        """Restart a service of the candidate; returns the seconds until it was ready."""
        scenario = self.scenario_of(attempt)
        mine = [spec.name for spec in scenario.spec.service if spec.owner == "candidate"]
        if service not in mine:
            raise UsageError(f"{service!r} is not one of your services: {', '.join(mine)}.", "Run `exam status`.")
        seconds = self.stack(attempt).restart(service)
        self.leader(attempt).restarted(service, seconds)
        return seconds

    # --- submit ------------------------------------------------------------------------------------------------------

    def submit(self, attempt: Attempt, *, at_deadline: bool = False) -> Submission:
        """Freeze workspace and registry into a submission, whole or not at all. Raises AttemptError the second time.

        Where a proctor leads the attempt and froze it before, that is collected. Where a submission is whole and a
        crash came before the attempt's record said so, that one counts.
        """
        with FileLock(self._folder(attempt) / "submit.lock"):
            attempt = self.attempt(attempt.id)
            if attempt.submitted:
                raise AttemptError(
                    f"The attempt {attempt.id!r} is submitted already.", f"Grade it with `exam grade {attempt.id}`."
                )
            folder = self.home / "submissions" / attempt.id
            if not folder.exists():
                self._hand_in(attempt, folder, at_deadline)
            submission, sealed = read_submission(folder)
            keep(sealed, self._folder(attempt))
        return submission

    def _hand_in(self, attempt: Attempt, folder: Path, at_deadline: bool) -> None:
        unfinished = folder.with_name(f".{attempt.id}.partial")
        shutil.rmtree(unfinished, ignore_errors=True)
        self.leader(attempt).hand_in(unfinished, at_deadline=at_deadline)
        _, sealed = read_submission(unfinished)
        known = attempt.model_dump(include={"folder_of_scenario", "public", "laid_out_seconds", "ready_seconds"})
        sealed = sealed.model_copy(update=known)  # what only this session knows of it
        (unfinished / "sealed.json").write_text(sealed.model_dump_json(indent=1), encoding="utf-8")
        unfinished.replace(folder)

    def _collect_frozen(self, name: str) -> None:
        """Collect what a proctor has frozen meanwhile and nobody has asked for yet."""
        for attempt in self.attempts(name):
            if not attempt.submitted and self.leader(attempt).frozen():
                self.submit(attempt)

    # --- grade and report --------------------------------------------------------------------------------------------

    def submission(self, name: str = "") -> tuple[Submission, Attempt]:
        """A submission by the name of its attempt, or the only one; `name` may also be a path to its archive.

        Raises SubmissionError for a file that is none, or whose digest is not the one that was written down.
        """
        return read_submission(self._submission_folder(name))

    def _submission_folder(self, name: str) -> Path:
        root = self.home / "submissions"
        found = sorted(root.glob("[!.]*"))  # what was being handed in when something ended it begins with a dot
        if name and Path(name).is_file():
            return Path(name).absolute().parent
        if name:
            if not (root / name).is_dir():
                known = ", ".join(path.name for path in found) or "none"
                raise SubmissionError(
                    f"There is no submission {name!r}; there are: {known}.", "Run `exam submit` first."
                )
            return root / name
        if len(found) != 1:
            if not found:
                raise SubmissionError("There is no submission.", "Run `exam submit` first.")
            names = ", ".join(path.name for path in found)
            raise SubmissionError(f"Which submission? There are: {names}.", "Name one: `exam grade NAME`.")
        return found[0]

    def grade(self, name: str, reports: Path, progress: GradingProgress) -> tuple[RunRecord, list[Path]]:
        """Grade a submission and write its report below `reports`. It may be repeated, also after an interruption."""
        self._collect_frozen(name)
        submission, sealed = self.submission(name)
        scenario = self.scenario_of(sealed)
        journal = self.journal(sealed.id)
        events = _with_submission(journal, submission)
        journal.append("grading", {"sha256": submission.sha256})
        job = grading.GradingJob(
            scenario=scenario,
            variant=variants.draw(scenario, sealed.seed),
            archive=submission.archive,
            attempt=sealed.id,
            folder=reports / sealed.id,
            changes=submission.changes,
            journal=events,
            estimate=sealed.estimate,
            minutes_used=submission.minutes_used,
        )
        runner = runtime_named(sealed.runtime, self.home)
        record = grading.grade(job, self.layouts, runner, progress)
        files = report.write(record, job.folder)
        journal.append(
            "graded", {"low": record.score.low, "high": record.score.high, "complete": record.score.complete}
        )
        return record, files

    # --- down --------------------------------------------------------------------------------------------------------

    def unsubmitted(self, name: str) -> bool:
        """Whether ending this attempt loses what was done in it.

        One whose proctor does not answer counts as such, and so does one of another version.
        """
        try:
            return any(not attempt.submitted and not self.leader(attempt).frozen() for attempt in self.attempts(name))
        except ExamError:
            return True

    def down(self, name: str) -> None:
        """End what runs of an attempt and remove it; its submission, journal and reports stay.

        What a proctor froze is collected first, where its stack is still there.
        """
        folder = self.home / "attempts" / name
        with suppress(AttemptError, EnvironmentFault):  # an engine that does not answer keeps the rest from happening
            self._collect_frozen(name)
        runner = runtime_named(self._runtime_of(folder), self.home)
        for place in ("rehearsal/run", "run"):
            runner.down(folder / place)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            (self.home / "journals" / f"{name}.jsonl.lock").unlink()

    def _runtime_of(self, folder: Path) -> str:
        """The runtime of an attempt, also of one whose start was interrupted."""
        path = folder / "runtime"
        return path.read_text(encoding="utf-8") if path.is_file() else ProcessRuntime.name

    def forget_submission(self, name: str) -> None:
        """Remove a submission and its journal, so that its name is free again."""
        shutil.rmtree(self.home / "submissions" / name, ignore_errors=True)
        (self.home / "journals" / f"{name}.jsonl").unlink(missing_ok=True)

    def left_over(self) -> list[str]:
        """Folders of stacks in containers that no attempt and no grading of this home has any more."""
        live = {str(folder / "run") for folder in self._lasting()}
        return [folder for folder in left_over(self.home) if folder not in live]

    def clean(self) -> list[str]:
        """Remove what `left_over` names; returns it."""
        found = self.left_over()
        for folder in found:
            runtime_named("compose", self.home).down(Path(folder))
        return found

    def names(self) -> list[str]:
        """Every attempt that has left something behind, also one whose start was interrupted."""
        return sorted(path.name for path in (self.home / "attempts").glob("*") if path.is_dir())

    def journal(self, name: str) -> Journal:
        """The journal of an attempt."""
        return Journal(self.home / "journals" / f"{name}.jsonl")

    def _folder(self, attempt: Attempt) -> Path:
        return self.home / "attempts" / attempt.id


def _recorded(path: Path) -> Attempt:
    try:
        return Attempt.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as exc:
        raise AttemptError(
            f"{path.parent.name!r} was begun by another version of the harness.",
            f"Go on with that version, or end it with `exam down {path.parent.name} --yes`.",
        ) from exc


def _with_submission(journal: Journal, submission: Submission) -> tuple[Event, ...]:
    """The events of an attempt. Where they say nothing of its submission, what that says of itself is added first.

    An archive may be graded where its journal is not, and a report takes from the journal whether it came late.
    """
    told = [event.data.get("sha256") for event in journal.read() if event.kind in ("submitted", "received")]
    if submission.sha256 not in told:
        said = {"submitted_at": submission.submitted_at, **({"late": True} if submission.late else {})}
        journal.append("received", {"sha256": submission.sha256, **said})
    return tuple(journal.read())


def default_home() -> Path:
    """EXAM_HOME, else the nearest .exam in this folder or above it (a workspace finds its own), else .exam here."""
    if os.environ.get("EXAM_HOME"):
        return Path(os.environ["EXAM_HOME"]).absolute()
    here = Path.cwd()
    return next((folder / ".exam" for folder in (here, *here.parents) if (folder / ".exam").is_dir()), here / ".exam")
