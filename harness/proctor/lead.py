"""Leads one attempt: settles it, keeps its clock, answers what a candidate asks, and freezes it once.

State lies in one folder, so that a restart loses nothing:

    attempt.json     the attempt: its deadline, its estimate, whether it is submitted
    journal.jsonl    what happened
    submission/      submission.tar.gz, submission.json, sealed.json
    scratch/         copies under way
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from harness import variant as variants
from harness.attempt import (
    ESTIMATE,
    Attempt,
    Rehearsal,
    begun,
    hand_in,
    handed_in,
    minutes_left,
    missing_papers,
    public_checks,
    read_submission,
    rehearsal,
    seconds_left,
    settle_live,
)
from harness.errors import AttemptError, ExamError, NotReady, SubmissionError, UsageError
from harness.grading import lay_out_submission
from harness.journal import Journal
from harness.model import Change, Finding, Site, Submission
from harness.proctor.looks import LookedAt, service_status
from harness.proctor.room import Room
from harness.proctor.sealed import SealedFolder
from harness.proctor.snapshot import snapshot, snapshot_attempt
from harness.runtime.base import ServiceStatus
from harness.scenario import Scenario
from harness.text import plain
from harness.vocabulary import vocabulary
from harness.waiting import DeadlinePassed, until
from harness.workspace import changes, digests, freeze

BEGIN_SECONDS = 300.0
"""The services have so long to be ready: twice what they took on two cores with twelve times the work for them."""

EVENTS = 2000
"""What a candidate's own doings may fill of the journal; it is read whole with each event."""

RETRY_SECONDS = 2.0
"""Between two tries to freeze at the deadline, where the first failed (a full disk, a locked database)."""


class Busy(AttemptError):
    """The same thing is under way already."""


@dataclass(frozen=True)
class Places:
    """The folders of an attempt as its proctor has them; all but `state` are only read."""

    sealed: Path
    workspace: Path
    registry: Path
    clock: Path
    state: Path


class Proctor:
    """Implements what the proctor answers. Safe to be called from several threads.

    Raises AttemptError for what the attempt's state does not allow, UsageError for what a caller got wrong.
    """

    def __init__(self, places: Places, scenario: Scenario, room: Room | None) -> None:
        self.places = places
        self.scenario = scenario
        self.sealed = SealedFolder(places.sealed)
        self._room = room
        self._facts = self.sealed.read()
        self._lock = threading.RLock()  # the attempt's record and the freezing of it
        self._under_way = {name: threading.Lock() for name in ("check", "look", "rehearsal")}
        self._attempt: Attempt | None = None
        places.state.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(places.state / "scratch", ignore_errors=True)
        (places.state / "scratch").mkdir()
        self._journal = Journal(places.state / "journal.jsonl")
        self._events = len(self._journal.read())
        kept = places.state / "attempt.json"
        if kept.is_file():
            self._attempt = Attempt.model_validate_json(kept.read_text(encoding="utf-8"))
            self._adopt()

    def _adopt(self) -> None:
        """Take a submission for done that was whole when a crash or a full disk kept it from being written down."""
        if self.attempt.submitted:
            return
        with suppress(SubmissionError):  # there is none, or it is half written: it is done again
            done, sealed = read_submission(self.places.state / "submission")
            if all(event.kind != "submitted" for event in self._journal.read()):
                at_deadline = done.submitted_at >= self.attempt.deadline  # both UTC, ISO 8601
                self._journal.append("submitted", handed_in(done, at_deadline=at_deadline))
            self._keep(sealed)

    # --- begin and end ------------------------------------------------------------------------------------------------

    def begin(self, deadline_s: float = BEGIN_SECONDS) -> None:
        """Wait for the services, settle the stack, start the clock; nothing where it runs already.

        Raises NotReady naming the services that are not, and ExamError when a fault is not in place.
        """
        if self._attempt is not None:
            return
        began = time.monotonic()
        self._await_services(deadline_s)
        variant = variants.draw(self.scenario, self._facts.seed)
        with self._looked_at() as stack:
            settle_live(self.scenario, variant, stack)
        attempt = begun(
            self.scenario,
            variant,
            self.sealed.given,
            name=self._facts.attempt,
            runtime="compose",
            public=self._facts.public,
            laid_out_seconds=self._facts.laid_out_seconds,
            ready_seconds=time.monotonic() - began,
        )
        self._journal.append("started", {"scenario": attempt.scenario, "minutes": self.scenario.spec.minutes})
        self._keep(attempt)

    def _await_services(self, deadline_s: float) -> None:
        missing: list[ServiceStatus] = []

        def ready() -> bool:
            missing[:] = [line for line in self._services() if line.state != "running"]
            return not missing

        try:
            until(ready, deadline_s, 0.5)
        except DeadlinePassed as exc:
            names = ", ".join(f"{line.name} ({line.state})" for line in missing)
            raise NotReady("attempt", f"Not ready after {deadline_s:.0f} s: {names}.", "Look at their logs.") from exc

    def watch(self, stop: threading.Event) -> None:
        """Freeze the state when the time is over; returns when the attempt is submitted, or when `stop` is set.

        A freeze that fails is tried again until it works: nothing that a candidate does can keep it off.
        """
        while not stop.wait(min(max(0.0, seconds_left(self.attempt)), 60.0)):
            if not self._over():
                continue
            if self._frozen():
                return
            stop.wait(RETRY_SECONDS)

    def _frozen(self) -> bool:
        """Freeze the state unless it is frozen; whether it is now. Raises nothing: the deadline stands."""
        with self._lock:
            try:
                if not self.attempt.submitted:
                    self.submit()
            except Exception as exc:  # noqa: BLE001 - what keeps it from being frozen may keep it from being noted, too
                with suppress(Exception):
                    self._note("freeze_failed", {"error": plain(f"{type(exc).__name__}: {exc}", 300)})
            return self.attempt.submitted

    def _over(self) -> bool:
        """Whether the time is over."""
        return seconds_left(self.attempt) <= 0

    # --- what is answered ---------------------------------------------------------------------------------------------

    @property
    def attempt(self) -> Attempt:
        """The attempt. Raises AttemptError before it has begun."""
        self.need_begun()
        assert self._attempt is not None
        return self._attempt

    def need_begun(self) -> None:
        """Raises AttemptError before the attempt has begun."""
        if self._attempt is None:
            raise AttemptError("The attempt has not begun: its services are starting.", "Try again in a minute.")

    def vocabulary(self) -> dict[str, Any]:
        """The words that a diagnosis may use with their meanings, and the facts that it may state."""
        return vocabulary(self.scenario)

    def status(self) -> dict[str, Any]:
        """Where the time and the services stand."""
        attempt = self.attempt
        ready = {spec.name: spec.ready for spec in self.scenario.spec.service}
        return {
            **attempt.model_dump(mode="json", include={"id", "scenario", "started_at", "deadline", "submitted"}),
            "title": self.scenario.spec.title,
            "minutes_left": minutes_left(attempt),
            "business_date": self.places.clock.read_text(encoding="utf-8").strip(),
            "services": [
                {"name": line.name, "state": line.state, "url": line.url, "ready": line.url + ready[line.name]}
                for line in self._services()
            ],
        }

    def changed(self) -> dict[str, Any]:
        """What differs from what was given, and which papers are missing. Raises Busy while somebody looks already.

        Each look copies the workspace: at most one at a time keeps them from filling a disk.
        """
        attempt = self.attempt
        with self._alone("look"), self._scratch() as place:
            snapshot(self.places.workspace, place / "workspace", self.scenario.spec.scratch)
            found = changes(attempt.given, digests(place / "workspace", self.scenario.spec.scratch))
            missing = missing_papers(place / "workspace")
        return {"changes": [shown(change) for change in found], "missing": missing}

    def estimate(self, text: str) -> None:
        """Write down what the candidate expects."""
        said = plain(text, ESTIMATE)
        with self._lock:
            self._need_time()
            self._note("estimated", {"text": said}, needed=True)
            self._keep(self.attempt.model_copy(update={"estimate": said}))

    def given_file(self, path: str) -> tuple[bytes, bool]:
        """A file as it was given, and whether it may be executed. Raises UsageError for one that was not given."""
        if path not in self.attempt.given:
            raise UsageError(
                f"{plain(path, 200)!r} is not among the files that were given.", "Name it as seen from the workspace."
            )
        source = self.sealed.given / path
        content, executable = source.read_bytes(), bool(source.stat().st_mode & 0o100)
        self._note("reset", {"file": path})
        return content, executable

    def check(self) -> list[tuple[str, Finding]]:
        """Run the public checks on the live stack. Raises Busy while they run."""
        self.need_begun()
        with self._alone("check"), self._looked_at() as stack:
            found = public_checks(self.scenario, stack, stack.copy)
        passed = sum(finding.ok is True for _, finding in found)
        self._note("checked", {"passed": passed, "of": len(found)})
        return found

    def rehearse(self) -> Rehearsal:
        """Freeze the present state, boot it in the rehearsal room as grading would, run the public checks on it.

        Raises SubmissionError where the state could not be submitted, and Busy while another rehearsal runs.
        """
        self._need_time()
        if self._room is None:
            raise AttemptError("This attempt has no rehearsal room.", "`exam check` looks at the live stack.")
        with self._alone("rehearsal"), self._scratch() as place:
            self._copy(place / "frozen", strict=True)
            archive = place / "submission.tar.gz"
            freeze(_site(place / "frozen"), archive, self.scenario.spec.scratch)
            shutil.rmtree(place / "frozen")
            lay_out_submission(archive, self.scenario, self.sealed.healthy, place / "workspace", place / "registry")
            found = rehearsal(self.scenario, self._booted(self._room, place), place / "workspace")
        self._note("rehearsed", {"boots": found.boots, "seconds": found.seconds})
        return found

    @contextmanager
    def _booted(self, room: Room, place: Path) -> Iterator[LookedAt]:
        with room.booted(self.scenario.spec, place, self._facts.urls) as urls:
            yield LookedAt("rehearsal", {**self._facts.urls, **urls}, place / "workspace")

    # --- freeze -------------------------------------------------------------------------------------------------------

    def submit(self) -> Submission:
        """Freeze workspace and registry, once. Raises AttemptError the second time.

        What cannot be read or is out of bounds raises SubmissionError; when the time is over it is left out, whoever
        asks, and the journal says so.
        """
        with self._lock:
            self._adopt()
            attempt, over = self.attempt, self._over()
            if attempt.submitted:
                raise AttemptError(f"The attempt {attempt.id!r} is submitted already.", "There is nothing more to do.")
            with self._scratch() as place:
                left_out = self._copy(place / "frozen", strict=not over)
                submission, sealed = hand_in(
                    attempt, self.scenario, _site(place / "frozen"), self.places.state / "submission", at_deadline=over
                )
            self._journal.append("submitted", handed_in(submission, at_deadline=over, left_out=left_out))
            self._keep(sealed)
        return submission

    def _copy(self, target: Path, *, strict: bool) -> tuple[str, ...]:
        empty, scratch = self.sealed.healthy.registry, self.scenario.spec.scratch
        return snapshot_attempt(self.places.workspace, self.places.registry, target, empty, scratch, strict=strict)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _services(self) -> list[ServiceStatus]:
        urls: Mapping[str, str] = self._facts.urls
        return [service_status(spec, urls[spec.name]) for spec in self.scenario.spec.service if spec.name in urls]

    @contextmanager
    def _looked_at(self) -> Iterator[LookedAt]:
        with self._scratch() as place:
            snapshot(self.places.workspace, place / "workspace", self.scenario.spec.scratch, strict=False)
            yield LookedAt("attempt", self._facts.urls, place / "workspace")

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        place = Path(mkdtemp(dir=self.places.state / "scratch"))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        if not self._under_way[what].acquire(blocking=False):
            raise Busy(f"A {what} is under way already.", "Wait until it has ended.")
        try:
            yield
        finally:
            self._under_way[what].release()

    def _need_time(self) -> None:
        if self.attempt.submitted or self._over():
            raise AttemptError("The attempt has ended.", "What was submitted stays as it is.")

    def _note(self, kind: str, data: Mapping[str, Any], *, needed: bool = False) -> None:
        """Write an event down while the journal has room for a candidate's own; a `needed` one is refused then."""
        with self._lock:
            if self._events >= EVENTS:
                if needed:
                    raise ExamError("Too much was written down already.", "What was said before stays.")
                return
            self._journal.append(kind, data)
            self._events += 1

    def _keep(self, attempt: Attempt) -> None:
        path = self.places.state / "attempt.json"
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(attempt.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        self._attempt = attempt


def _site(folder: Path) -> Site:
    return Site(folder / "workspace", folder / "registry", folder / "private")


def shown(change: Change) -> dict[str, str]:
    """A change as it is answered: the path without control characters."""
    return {"path": plain(change.path, 400), "how": change.how}
