"""An attempt that a proctor leads, as the host sees it: asked over HTTP, collected from its container."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx

from harness.attempt import Rehearsal
from harness.client.ask import CHECK_SECONDS, QUICK_SECONDS, REHEARSE_SECONDS
from harness.errors import AttemptError, EnvironmentFault, ExamError, StackError, SubmissionError, UsageError
from harness.model import Change, Finding
from harness.runtime.inside import places
from harness.waiting import DeadlinePassed, until

ERRORS: Mapping[int, type[ExamError]] = {
    kind.exit_code: kind for kind in (UsageError, EnvironmentFault, SubmissionError, AttemptError)
}


class LedStack(Protocol):
    """What a runtime's live stack has where a proctor leads it (`Runtime.proctored`)."""

    def published(self, port: int) -> str:
        """The base address here of a port that the stack publishes. Raises EnvironmentFault when it does not."""

    def pages(self) -> dict[str, str]:
        """Name -> address of what there is for a browser."""

    def collect(self, service: str, source: str, target: Path) -> None:
        """Copy the regular files of a folder in a container to an empty folder here."""


class Led:
    """Implements `Leader` by asking the proctor, whose own errors are raised.

    `journal` is where its journal goes when the attempt is handed in; without one it stays where it is.
    """

    workspace = Path(places.WORKSPACE)

    def __init__(self, stack: LedStack, journal: Path | None = None) -> None:
        self._stack = stack
        self._journal = journal

    def pages(self) -> dict[str, str]:
        """See `Leader.pages`."""
        return {"proctor": self.url, **self._stack.pages()}

    @property
    def url(self) -> str:
        """The proctor's address here."""
        return self._stack.published(places.PROCTOR_PORT)

    def await_begun(self, deadline_s: float) -> None:
        """Wait until the attempt has begun. Raises ExamError with the proctor's reason when it will not."""
        said: dict[str, Any] = {}

        def begun() -> bool:
            said.update(self._health())
            if said["failed"]:
                raise ExamError(str(said["sentence"]), "Start again; if it recurs, use another seed.")
            return bool(said["ready"])

        try:
            until(begun, deadline_s, 0.3)
        except DeadlinePassed as exc:
            raise EnvironmentFault(f"The attempt has not begun after {deadline_s:.0f} s: {said['sentence']}") from exc

    def _health(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=5.0, trust_env=False).json()
        except (httpx.HTTPError, ValueError):
            return {"ready": False, "failed": False, "sentence": "Its proctor does not answer."}
        return found

    def status(self) -> dict[str, Any]:
        """What GET /status of the proctor says."""
        found: dict[str, Any] = self._ask("GET", "/status")
        return found

    def today(self) -> str:
        """See `Leader.today`: as it lies there, like `frozen`."""
        with tempfile.TemporaryDirectory() as folder:
            self._stack.collect("proctor", places.CLOCK, Path(folder))
            return (Path(folder) / Path(places.CLOCK).name).read_text(encoding="utf-8").strip()

    def restarted(self, service: str, seconds: float) -> None:
        """Nothing: the proctor writes the journal, and of what is done from this machine it is not told."""

    def reset(self, path: str) -> None:
        """Always refused: the workspace is in the box."""
        raise UsageError("The workspace lies in the box.", f"Run `exam reset {path}` there.")

    def check(self) -> list[tuple[str, Finding]]:
        """See `Leader.check`."""
        return [_finding(one) for one in self._ask("POST", "/check", {}, CHECK_SECONDS)]

    def rehearse(self) -> Rehearsal:
        """See `Leader.rehearse`: in the attempt's own room."""
        found = self._ask("POST", "/rehearse", {}, REHEARSE_SECONDS)
        checks = tuple((one["check"], one["ok"], one["sentence"]) for one in found.pop("checks"))
        return Rehearsal(**found, checks=checks)

    def estimate(self, text: str) -> None:
        """See `Leader.estimate`."""
        self._ask("POST", "/estimate", {"text": text})

    def changed(self) -> tuple[tuple[Change, ...], list[str]]:
        """See `Leader.changed`."""
        found = self._ask("GET", "/changes")
        return tuple(Change(**one) for one in found["changes"]), list(found["missing"])

    def frozen(self) -> bool:
        """See `Leader.frozen`: by its state as it lies there, so that a proctor which ended says so, too."""
        with tempfile.TemporaryDirectory() as folder:
            self._stack.collect("proctor", f"{places.STATE}/attempt.json", Path(folder))
            kept = json.loads((Path(folder) / "attempt.json").read_text(encoding="utf-8"))
            return bool(kept["submitted"])  # no more of it is looked at: images of another version may say more

    def hand_in(self, folder: Path, *, at_deadline: bool) -> None:
        """See `Leader.hand_in`; whether it was at the deadline the proctor knows."""
        self._freeze()
        self._stack.collect("proctor", f"{places.STATE}/submission", folder)
        if self._journal is not None:
            self._stack.collect("proctor", f"{places.STATE}/journal.jsonl", folder)
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            (folder / "journal.jsonl").replace(self._journal)

    def _freeze(self) -> None:
        if self.frozen():
            return
        try:
            self._ask("POST", "/submit", {}, CHECK_SECONDS)
        except AttemptError:
            if not self.frozen():  # else the deadline came first
                raise

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, seconds: float = QUICK_SECONDS
    ) -> Any:
        try:
            with httpx.Client(timeout=seconds, trust_env=False) as client:
                answer = client.request(method, self.url + path, json=body)
            content = answer.json()
        except (httpx.HTTPError, json.JSONDecodeError) as exc:
            raise EnvironmentFault(
                f"The attempt's proctor does not answer: {type(exc).__name__}.", "Look at it with `exam status`."
            ) from exc
        if answer.status_code != 200:
            raise _error(content["exit_code"], content["error"], content["next_step"])
        return content


def _error(exit_code: int, sentence: str, next_step: str) -> ExamError:
    """The proctor's own error."""
    if exit_code == StackError.exit_code:
        return StackError("attempt", sentence, next_step)
    return ERRORS.get(exit_code, ExamError)(sentence, next_step)


def _finding(one: Mapping[str, Any]) -> tuple[str, Finding]:
    return one["check"], Finding(one["ok"], one["sentence"])
