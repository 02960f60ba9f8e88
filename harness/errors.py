"""The errors of the harness, as a tree.

    ExamError                       one sentence for people, and the next step
    ├── UsageError                  the caller asked for something that does not exist or does not fit
    ├── ScenarioError               a scenario's own files are wrong (its author mends them)
    ├── EnvironmentFault            this machine: a port taken, no disk, a tool missing
    ├── StackError                  a stack did not do what was asked of it; names the stack
    │   ├── NotReady                a service did not come up before its deadline
    │   └── BadAnswer               a service answered wrongly, late or not at all
    │       └── TooLate             it did not do something before its deadline
    ├── SubmissionError             a submission is no submission, or is hostile
    └── AttemptError                an attempt is in the wrong state (unknown, already submitted, interrupted)

Only `cli` turns these into text and exit codes.
"""

from __future__ import annotations


class ExamError(Exception):
    """Base of everything the harness raises on purpose.

    `next_step` says in one sentence what the reader can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


class UsageError(ExamError):
    """The caller asked for something that does not exist or does not fit."""

    exit_code = 2


class ScenarioError(ExamError):
    """A scenario's own files are wrong."""

    exit_code = 3


class EnvironmentFault(ExamError):
    """This machine cannot do it now: a port taken, no disk, a tool missing."""

    exit_code = 4


class StackError(ExamError):
    """A stack did not do what was asked of it. `stack` names which one, so that blame can be placed."""

    exit_code = 5

    def __init__(self, stack: str, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.stack = stack


class NotReady(StackError):
    """A service did not come up before its deadline; the message carries the end of its log."""


class BadAnswer(StackError):
    """A service answered wrongly, late or not at all."""


class TooLate(BadAnswer):
    """A service did not do it before its deadline."""


class SubmissionError(ExamError):
    """A submission is no submission, or is hostile."""

    exit_code = 6


class AttemptError(ExamError):
    """An attempt is in the wrong state: unknown, already submitted, interrupted."""

    exit_code = 7
