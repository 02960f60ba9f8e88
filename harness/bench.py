"""The bench of one grading: two running stacks, and how what a check finds becomes a result.

- a check that the candidate fails is run on the reference too; FAIL stands only where the reference passes;
- a `StackError` that names the candidate is its FAIL; any other exception is an ERROR, ours;
- the time of grading grows by what the candidate's jobs take within their deadlines; once it is over, what was not
  reached is FAIL where the candidate missed a deadline, else an ERROR.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.errors import NotReady, StackError, TooLate
from harness.model import Activity, CheckResult, CheckSpec, Finding, JobResult, Outcome, Series, Site, Stack, Variant

GRADING_SECONDS = 420.0
"""Budget for the drills of one submission beside its jobs, which have deadlines of their own. The healthy tree of
either scenario needs less than that, jobs included: with both boots and the report its grade ends within eight
minutes."""

ASSUMED_BOOT_SECONDS = 35.0
"""What the reference takes to boot beside the candidate's stack on the machine that deadlines are written for: two
cores with nothing else to do (measured: 34 s)."""


def pace(boot_seconds: float) -> float:
    """How many times longer deadlines are where the reference boots in `boot_seconds`; at least 1.

    A slow machine is not the candidate's fault.
    """
    return max(1.0, boot_seconds / ASSUMED_BOOT_SECONDS)


Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many checks have a result, and how many there are."""


class OutOfTime(StackError):
    """The time of grading is used up. Names the candidate where it missed a deadline before, else nobody ("")."""


FAILED: Sequence[tuple[type[StackError], str]] = (
    (OutOfTime, "not reached"),
    (NotReady, "not ready"),
    (TooLate, "too late"),
    (StackError, "no right answer"),
)
"""What is written as measured where a stack did not do what a check needs: of its error, the first kind that fits."""


class _Timed:
    """A stack that says what became of each of its jobs: the result, and the deadline that the job had."""

    def __init__(self, stack: Stack, said: Callable[[JobResult, float], None]) -> None:
        self.name = stack.name
        self._stack = stack
        self._said = said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stack, name)

    def run_job(self, job: str, args: Sequence[str], deadline_s: float) -> JobResult:
        """See `Stack.run_job`."""
        result = self._stack.run_job(job, args, deadline_s)
        self._said(result, deadline_s)
        return result


class GradingBench:
    """The `Bench` of one grading: two stacks, the results so far, evidence and a timeline."""

    def __init__(
        self,
        *,
        checks: Sequence[CheckSpec],
        variant: Variant,
        candidate: Stack,
        reference: Stack,
        site: Site,
        folder: Path,
        progress: Progress,
        started: float,
        only: Sequence[str] = (),
        pace: float = 1.0,
    ) -> None:
        self.variant = variant
        self.candidate: Stack = _Timed(candidate, self._job_ended)
        self.reference = reference
        self.site = site
        self.pace = pace
        self.results: dict[str, CheckResult] = {}
        self.activities: list[Activity] = []
        self.charts: list[Series] = []
        self._checks = {spec.id: spec for spec in checks}
        self._only = frozenset(only)
        self._folder = folder
        self._progress = progress
        self._started = started
        self._budget_s = GRADING_SECONDS * pace
        self._began = time.monotonic()
        self._missed_a_deadline = False
        self._lock = threading.Lock()

    def check(self, check_id: str, probe: Callable[[Stack], Finding], *, control: bool = True) -> Finding | None:
        """See `Bench.check`."""
        if check_id in self.results:
            return None
        try:
            self._in_time()
        except OutOfTime as exc:
            self._blame(check_id, exc)
            return None
        try:
            finding = self._probe(check_id, self.candidate, probe)
            if finding.ok is False and control:
                reference = self._probe(check_id, self.reference, probe)
                if reference.ok is not True:
                    self._error(check_id, f"The reference failed the same step: {reference.sentence}")
                    return None
        except Exception as exc:  # noqa: BLE001 - whatever our own code raises is an ERROR, never the candidate's
            self._error(check_id, _what(exc), exc)
            return None
        self.record(check_id, finding)
        return finding

    def wants(self, *check_ids: str) -> bool:
        """See `Bench.wants`."""
        return not self._only or not self._only.isdisjoint(check_ids)

    def record(self, check_id: str, finding: Finding) -> None:
        """See `Bench.record`. The first result of a check stands."""
        outcome = {True: Outcome.PASS, False: Outcome.FAIL, None: Outcome.INCONCLUSIVE}[finding.ok]
        spec = self._checks[check_id]
        self._put(
            CheckResult(
                id=check_id,
                outcome=outcome,
                sentence=finding.sentence,
                measured=finding.measured,
                limit=spec.limit,
                unit=spec.unit,
                evidence=finding.evidence,
            )
        )

    @contextmanager
    def guard(self, *check_ids: str) -> Iterator[None]:
        """See `Bench.guard`. Out of time, it raises: the guard around it gives what is missing its result."""
        self._in_time()
        try:
            yield
        except StackError as exc:
            self._note(exc)
            for check_id in self._missing(check_ids):
                self._blame(check_id, exc)
        except Exception as exc:  # noqa: BLE001 - see check()
            for check_id in self._missing(check_ids):
                self._error(check_id, _what(exc), exc)

    @contextmanager
    def activity(self, name: str, kind: str) -> Iterator[None]:
        """See `Bench.activity`."""
        self._show(name)
        start = time.monotonic() - self._started
        try:
            yield
        finally:
            stretch = Activity(name=name, kind=kind, start=start, end=time.monotonic() - self._started)
            with self._lock:
                self.activities.append(stretch)

    def side_by_side(self, *steps: Callable[[], Any]) -> list[Any]:
        """See `Bench.side_by_side`. The first exception is raised once all steps have ended."""
        with ThreadPoolExecutor(max_workers=len(steps)) as pool:
            futures = [pool.submit(step) for step in steps]
        return [future.result() for future in futures]

    def save(self, name: str, content: Any) -> str:
        """See `Bench.save`."""
        path = self._folder / "evidence" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_as_bytes(content))
        return f"evidence/{name}"

    def chart(self, series: Series) -> None:
        """See `Bench.chart`."""
        with self._lock:
            self.charts.append(series)

    def fail_all(self, sentence: str) -> None:
        """Every check without a result fails with this sentence (a stack that never came up)."""
        for check_id in self._missing(tuple(self._checks)):
            self.record(check_id, Finding(False, sentence, "not up"))

    def error_all(self, sentence: str, exc: BaseException | None = None) -> None:
        """Every check without a result is an ERROR with this sentence (we could not grade)."""
        for check_id in self._missing(tuple(self._checks)):
            self._error(check_id, sentence, exc)

    def _probe(self, check_id: str, stack: Stack, probe: Callable[[Stack], Finding]) -> Finding:
        try:
            return probe(stack)
        except StackError as exc:
            if exc.stack != stack.name:
                raise
            self._note(exc)
            return self._failed(check_id, exc)

    def _failed(self, check_id: str, exc: StackError) -> Finding:
        """What a stack did not do in time or in form; the evidence says at which step of the grader."""
        name = f"{check_id}/failed-{exc.stack}.txt"
        evidence = (self.save(name, "".join(traceback.format_exception(exc))),)
        return Finding(False, str(exc), next(said for kind, said in FAILED if isinstance(exc, kind)), evidence)

    def _blame(self, check_id: str, exc: StackError) -> None:
        """FAIL where the error names the candidate, else an ERROR."""
        if exc.stack == self.candidate.name:
            self.record(check_id, self._failed(check_id, exc))
        else:
            self._error(check_id, str(exc), exc)

    def _note(self, exc: StackError) -> None:
        """Remember that the candidate missed a deadline."""
        if exc.stack == self.candidate.name and isinstance(exc, TooLate | NotReady):
            self._missed_a_deadline = True

    def _job_ended(self, result: JobResult, deadline_s: float) -> None:
        """What a job of the candidate takes is not taken from the drills, unless it had to be stopped."""
        with self._lock:
            if result.exit_code is None:
                self._missed_a_deadline = True
            else:
                self._budget_s += min(result.seconds, deadline_s)

    def _in_time(self) -> None:
        if time.monotonic() - self._began <= self._budget_s:
            return
        over = f"Not reached: the {self._budget_s:.0f} s of grading were over"
        if self._missed_a_deadline:
            raise OutOfTime(self.candidate.name, f"{over}, and the stack had missed deadlines before.")
        raise OutOfTime("", f"{over}, though the stack had missed no deadline.")

    def _missing(self, check_ids: Sequence[str]) -> list[str]:
        return [check_id for check_id in check_ids if check_id not in self.results]

    def _error(self, check_id: str, sentence: str, exc: BaseException | None = None) -> None:
        evidence: tuple[str, ...] = ()
        if exc is not None:
            evidence = (self.save(f"errors/{check_id}.txt", "".join(traceback.format_exception(exc))),)
        spec = self._checks[check_id]
        self._put(
            CheckResult(
                id=check_id,
                outcome=Outcome.ERROR,
                sentence=sentence,
                limit=spec.limit,
                unit=spec.unit,
                evidence=evidence,
            )
        )

    def _put(self, result: CheckResult) -> None:
        if result.id not in self._checks:
            raise KeyError(f"{result.id} is no check of this scenario")
        with self._lock:
            self.results.setdefault(result.id, result)
        self._show(self._checks[result.id].promise)

    def _show(self, what: str) -> None:
        self._progress(what, len(self.results), len(self._checks))


def _what(exc: BaseException) -> str:
    return f"The grader could not measure this: {type(exc).__name__}: {str(exc)[:300]}"


def _as_bytes(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, BaseModel):
        return content.model_dump_json(indent=1).encode()
    return json.dumps(content, indent=1, default=str).encode()
