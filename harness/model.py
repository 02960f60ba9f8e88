"""The records that cross rooms, and the protocols between the harness and a scenario.

Records are frozen pydantic models: they are written to and read from JSON without a second description.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import ScenarioError

FORMAT = 1
"""Version of the run record (result.json). 1: first published form."""


class Record(BaseModel):
    """A frozen record; unknown keys are an error. A text below a field describes it in the JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Skill(StrEnum):
    """What a check speaks for."""

    DATA = "data"
    MODELLING = "modelling"
    EVALUATION = "evaluation"
    PRODUCTION = "production"
    COMMUNICATION = "communication"


class Outcome(StrEnum):
    """How a check ended. ERROR is ours, never the candidate's."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


class CheckSpec(Record):
    """One graded promise, as declared in scenario.toml."""

    id: str
    """The name by which the grader records its result; no other check has it."""
    slot: str
    """The slot whose repair it looks at, or "service", which has no faults: then it is always a safeguard."""
    promise: str
    """What the brief promised, as one sentence: the report says it where the check fails."""
    skill: Skill
    points: float = 0
    """What it is worth where the slot's fault is drawn."""
    cost: float = 0
    """What a failure costs where the slot's fault is not drawn: it is a safeguard then."""
    limit: str
    """What the measured value is held against, in words."""
    unit: str = ""
    """The unit of the measured value."""
    needs: tuple[str, ...] = ()
    """Checks that must pass before this one earns anything: a good case that still passes is no merit alone."""


class DrawnFault(Record):
    """A fault form with the values that a seed gave it.

    `pairs` are the (component, kind) diagnoses that are defensible for it; `onset` is the first bad story day where
    the variant holds evidence of it; `pointers` are glob patterns of files or registry entries that show it.
    `shows_in` are the checks of its slot that fail while it is there: the slot's other checks earn nothing until
    those pass. `also_breaks` are checks of other slots that it breaks by nature: they cost nothing while it is there.
    """

    slot: str
    form: str
    values: Mapping[str, Any] = Field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...]
    onset: date | None = None
    pointers: tuple[str, ...] = ()
    symptom: str
    shows_in: tuple[str, ...]
    also_breaks: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`slot/form`, the name used in expect.toml and in reports."""
        return f"{self.slot}/{self.form}"


class Variant(Record):
    """What one seed draws: the story's values, and its faults."""

    scenario: str
    seed: int
    values: Mapping[str, Any]
    faults: tuple[DrawnFault, ...]

    @property
    def business_date(self) -> date:
        """The scenario's today when an attempt starts."""
        return date.fromisoformat(self.values["business_date"])


class CheckResult(Record):
    """What a check found: one sentence with a measured value, a limit and evidence files (relative paths)."""

    id: str
    outcome: Outcome
    sentence: str
    measured: str = ""
    limit: str = ""
    unit: str = ""
    evidence: tuple[str, ...] = ()


class ClaimScore(Record):
    """One diagnosis claim and what it earned, or a drawn fault that nobody claimed (`component` empty)."""

    component: str
    kind: str
    fault: str
    points: float
    sentence: str


class FactScore(Record):
    """One countable fact of the incident: what was said, what is true, and whether that is close enough."""

    name: str
    said: str
    true: str
    points: float
    possible: float


class CheckScore(Record):
    """A check with the points it was worth and earned. A safeguard has `possible` 0 and `earned` <= 0."""

    spec: CheckSpec
    result: CheckResult
    safeguard: bool
    possible: float
    earned: float
    withheld: float = 0
    why: str


class SkillScore(Record):
    """Points of one skill. `examined` is False with fewer than 10 points or two independent faults."""

    skill: Skill
    possible: float
    earned: float
    examined: bool


class Score(Record):
    """`low`..`high` is a range when checks are INCONCLUSIVE; `complete` is False when any check is ERROR."""

    low: float
    high: float
    complete: bool
    checks: tuple[CheckScore, ...]
    claims: tuple[ClaimScore, ...]
    facts: tuple[FactScore, ...]
    skills: tuple[SkillScore, ...]


class Event(Record):
    """One line of an attempt's journal."""

    at: str
    kind: str
    data: Mapping[str, Any] = Field(default_factory=dict)
    previous: str
    digest: str


class Change(Record):
    """A file that differs from what the candidate was given. `how` is added, changed or removed."""

    path: str
    how: str


class Submission(Record):
    """A frozen workspace and registry. `archive` is a .tar.gz, `sha256` its digest in hexadecimal."""

    archive: Path
    sha256: str
    scenario: str
    attempt: str
    submitted_at: str
    minutes_used: float
    late: bool = False
    changes: tuple[Change, ...] = ()


class Activity(Record):
    """A stretch of a run, in seconds from its start on the grader's monotonic clock.

    `kind` is boot, load, drill or measure; stretches may overlap.
    """

    name: str
    kind: str
    start: float
    end: float


class Series(Record):
    """Numbers for one chart: `x` is shared, each line has a label and the same length."""

    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    lines: Mapping[str, tuple[float | None, ...]]
    limit: float | None = None


class RunRecord(Record):
    """Everything a report says. Rendering never measures."""

    format: int = FORMAT
    scenario: str
    title: str
    seed: int
    attempt: str
    submission_sha256: str
    runtime: str
    certifiable: bool
    started_at: str
    seconds: float
    business_date: date
    variant: Variant
    score: Score
    activities: tuple[Activity, ...] = ()
    charts: tuple[Series, ...] = ()
    changes: tuple[Change, ...] = ()
    journal: tuple[Event, ...] = ()
    incident: str = ""
    estimate: str = ""
    minutes_used: float = 0
    minutes_allowed: float = 0
    versions: Mapping[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class ServiceSpec(Record):
    """A service of the stack."""

    name: str
    """Its name in `exam status`, and in {url.NAME}."""
    owner: str = Field(pattern="^(harness|candidate)$")
    """"candidate" for what the workspace starts, and may change; "harness" for what surrounds it."""
    command: tuple[str, ...]
    """Words; {port}, {host} (to listen on), {registry}, {private}, {clock}, {scenario} and {url.NAME} stand for what an
    attempt has."""
    ready: str = ""
    """The path that answers 200 when it is ready; a service with one is waited for."""
    after: str = ""
    """The service that is ready before this one starts; it is not waited for."""
    graded: bool = True
    """False for what runs in live attempts only."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables of this service alone, as they stand."""


class JobSpec(Record):
    """A named job of the candidate, run by a drill."""

    name: str
    """The name by which a drill runs it."""
    command: tuple[str, ...]
    """Words, as of a service; a drill puts what it wants behind them, and has a deadline of its own."""


@dataclass(frozen=True)
class JobResult:
    """How a job ended: its exit code (None when it was stopped at its deadline), seconds, and the end of its output."""

    exit_code: int | None
    seconds: float
    output: str


SendLoad = Callable[[bytes, float], tuple[bytes, bytes]]
"""Sends a plan of load (JSON) within so many seconds; returns the requests sent (JSON lines), and how the driver fared
(JSON): see `harness.probes.load_plan`. Raises EnvironmentFault when the driver died."""


class Stack(Protocol):
    """Running services of one attempt, or of the reference. Paths are relative to the workspace.

    Every method raises `StackError` naming this stack when the stack, not the harness, is at fault.
    """

    name: str

    def endpoint(self, service: str) -> str:
        """Base URL of a service, without a trailing slash. Raises KeyError for a service that has none."""

    def restart(self, service: str) -> float:
        """Restart one service, wait until it is ready; returns seconds. Raises NotReady with the end of its log."""

    def run_job(self, job: str, args: Sequence[str], deadline_s: float) -> JobResult:
        """Run a job that scenario.toml names, in the candidate's box; at the deadline it is ended with its children."""

    def advance_day(self, to: date, files: Mapping[str, bytes]) -> None:
        """Put the day's delivered files in place, then move the business date."""

    def logs(self, service: str, lines: int = 200) -> str:
        """The end of a service's log."""

    def read(self, path: str) -> bytes | None:
        """A file of the workspace as bytes, or None. Links are not followed; at most 64 MiB are read."""

    def write(self, path: str, content: bytes) -> None:
        """Put a file into the workspace (the harness's part of it: feeds, or what a drill says that it writes).

        One that is there keeps its mode.
        """

    def remove(self, path: str) -> None:
        """Remove a file or a folder of the workspace; nothing happens when it is not there."""

    def listing(self, path: str) -> tuple[str, ...]:
        """Sorted relative paths of the files under a folder; empty when it is not there."""


@dataclass
class Site:
    """The places of one attempt before anything runs, where a scenario lays out files and a fault breaks them.

    workspace  what the candidate gets and may change
    registry   mlflow.db and artifacts/ of the registry
    private    what only the grader's services read (hidden weather, traffic)
    story      a scratch mapping by which faults tell the scenario's `finish` what history must show
    """

    workspace: Path
    registry: Path
    private: Path
    story: dict[str, Any] = field(default_factory=dict)

    def replace(self, path: str, old: str, new: str) -> None:
        """Replace a text that stands exactly once in a workspace file.

        Raises ScenarioError when it stands there never or more than once: a fault that no longer applies must not
        pass in silence.
        """
        target = self.workspace / path
        text = target.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ScenarioError(f"{path}: the text to replace stands {text.count(old)} times, not once: {old[:60]!r}")
        target.write_text(text.replace(old, new), encoding="utf-8")


@dataclass(frozen=True)
class Finding:
    """What a probe of one stack found, before it becomes a check result. `ok` None means inconclusive."""

    ok: bool | None
    sentence: str
    measured: str = ""
    evidence: tuple[str, ...] = ()


class Bench(Protocol):
    """What a scenario's grader works with: two running stacks and a place for what it finds."""

    variant: Variant
    candidate: Stack
    reference: Stack
    site: Site
    """A laid-out healthy site of the variant, for hidden data; its workspace is not the candidate's."""
    pace: float
    """How many times longer a job may take than on the machine that deadlines are written for; at least 1."""

    def check(self, check_id: str, probe: Callable[[Stack], Finding], *, control: bool = True) -> Finding | None:
        """Run a probe on the candidate and record the result under `check_id`.

        When it does not pass and `control` is set, the same probe runs on the reference: if the reference fails it
        too, the result is ERROR, not FAIL. A StackError of the candidate is a FAIL with its sentence; any other
        exception is an ERROR. Returns the finding, or None where there is none.
        """

    def wants(self, *check_ids: str) -> bool:
        """Whether this run is to give any of these checks a result; a drill that nobody wants is left out."""

    def record(self, check_id: str, finding: Finding) -> None:
        """Record a finding that was made on both stacks at once (a duet, a comparison)."""

    def guard(self, *check_ids: str) -> AbstractContextManager[None]:
        """Steps that several checks stand on: when one fails, those checks that have no result yet get it.

        A StackError of the candidate becomes their FAIL, anything else their ERROR; the block is left, not the run.
        """

    def activity(self, name: str, kind: str) -> AbstractContextManager[None]:
        """Time a stretch for the run's timeline and show it as progress; kind is boot, load, drill or measure."""

    def side_by_side(self, *steps: Callable[[], Any]) -> list[Any]:
        """Run steps that do not disturb each other at the same time; returns their results in order."""

    def save(self, name: str, content: Any) -> str:
        """Write evidence (bytes, text, or anything JSON can hold) and return its path relative to the run."""

    def chart(self, series: Series) -> None:
        """Add a chart to the report."""


@dataclass(frozen=True)
class Symptom:
    """How clearly a fault shows: the size of its symptom, and what the clean world stays below 99 times in 100."""

    what: str
    measured: float
    clean_p99: float


@dataclass(frozen=True)
class Form:
    """One way to break one component.

    draw      values of the form from a seeded generator and the story's values
    apply     edits files of the healthy tree, and nothing else; raises ScenarioError when it no longer applies
    in_place  looks at a running stack by digest, registry query or one call: None when it is there, else why
    visible   measures the fault's symptom in a broken site against the healthy one
    tell      what the fault leaves in the story, its records and the registry; called when every fault is applied
    live      what happened after serving was booted in the story, done to a live stack once it is ready
    """

    slot: str
    name: str
    draw: Callable[[random.Random, Mapping[str, Any]], DrawnFault]
    apply: Callable[[Site, DrawnFault], None]
    in_place: Callable[[Stack, DrawnFault], str | None]
    visible: Callable[[Site, Site, DrawnFault], Symptom]
    tell: Callable[[Site, DrawnFault], None] | None = None
    live: Callable[[Stack, DrawnFault], None] | None = None

    @property
    def id(self) -> str:
        """`slot/name`."""
        return f"{self.slot}/{self.name}"


class FactSpec(Record):
    """A countable fact of the incident, as declared in scenario.toml; `facts` of story.py knows the true value."""

    name: str
    """Its name under [facts] in diagnosis.toml."""
    question: str
    """What is to be counted, as one question."""
    tolerance: float = 0
    """How far what is said may be from the true value, relative to it."""


class DiagnosisRules(Record):
    """The [diagnosis] table of scenario.toml: what a full diagnosis is worth, and the vocabulary of claims."""

    points: float
    """For the claims, shared by the drawn faults."""
    fact_points: float = 0
    """For the countable facts, shared by them."""
    claims_at_most: int = 8
    """Further claims do not count."""
    components: tuple[str, ...]
    """Words for where; more of them than are broken."""
    kinds: tuple[str, ...]
    """Words for what; more of them than occur."""


class Claim(Record):
    """One claim of a diagnosis. `onset` is the first bad day, "unknown" when the candidate says so, None when unsaid.

    `resolved` is False when the pointer was looked up and stands for nothing that was given or handed in.
    """

    component: str
    kind: str
    onset: date | Literal["unknown"] | None = None
    pointer: str = ""
    evidence: str = ""
    resolved: bool = True


class Diagnosis(Record):
    """What a candidate says was broken. `problems` are sentences about what could not be read or is no vocabulary."""

    claims: tuple[Claim, ...] = ()
    facts: Mapping[str, float] = Field(default_factory=dict)
    problems: tuple[str, ...] = ()
