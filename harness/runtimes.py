"""The runtimes by their names. Who works with processes does not wait until Docker's client is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import EnvironmentFault, UsageError
from harness.runtime.base import Runtime
from harness.runtime.process import ProcessRuntime


def runtime_named(name: str, home: Path) -> Runtime:
    """A runtime by its name, for stacks below a home folder. Raises UsageError naming those there are."""
    if name not in RUNTIMES:
        raise UsageError(f"There is no runtime {name!r}; there are: {', '.join(RUNTIMES)}.")
    return RUNTIMES[name](home)


def engine_problem() -> str | None:
    """Why no stack can run in containers here; None where it can."""
    from harness.runtime.compose import engine_problem

    return engine_problem()


def left_over(home: Path) -> list[str]:
    """Folders of the stacks in containers of this home; none where no engine answers."""
    from harness.runtime.compose import left_over

    try:  # also where images are missing: what a crash left needs none
        return left_over(str(home))
    except EnvironmentFault:
        return []


def _process(home: Path) -> Runtime:
    return ProcessRuntime()


def _compose(home: Path) -> Runtime:
    from harness.runtime.compose import ComposeRuntime

    return ComposeRuntime(home)


RUNTIMES: Mapping[str, Callable[[Path], Runtime]] = {"process": _process, "compose": _compose}
