"""What all commands of `exam` share: how they are declared, how they fail, and options that several have."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import wraps
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from click.exceptions import Abort
from rich.console import Console

from harness import console
from harness.errors import EnvironmentFault, ExamError
from harness.session import Session, default_home

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="A practical exam in production readiness for machine-learning engineers.",
)

CANDIDATES, EVALUATORS, AUTHORS = "For candidates", "For evaluators", "For authors of scenarios"
"""Whose commands they are, as `exam --help` says it."""

PACKAGE = "production-readiness-exam"

F = TypeVar("F", bound=Callable[..., Any])

Name = Annotated[str, typer.Option("--name", "-n", help="Which attempt, where there are several.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Roots = Annotated[list[Path] | None, typer.Option("--scenarios", help="A folder with further scenarios; repeatable.")]
ScenarioId = Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario's name, from `exam list`.")]
Reports = Annotated[Path, typer.Option(help="Where reports are written.")]


def _print_version(asked: bool) -> None:
    if asked:
        console.out.print(metadata.version(PACKAGE))
        raise typer.Exit


@app.callback()
def everything(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    # No docstring: the help of `exam` is the app's own.
    pass


def command(whose: str, example: str) -> Callable[[F], F]:
    """A command of `exam`, listed with those of its users.

    Its help ends with an example, and errors become one sentence with the next step.
    """

    def decorate(function: F) -> F:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except ExamError as exc:
                fail(exc)
            except OSError as exc:
                if exc.errno == errno.EPIPE:  # `exam list | head`: typer ends it in silence
                    raise
                fail(EnvironmentFault(f"This machine did not do it: {exc}.", "Mend that, and run the command again."))
            except (KeyboardInterrupt, Abort):
                console.err.print("Stopped.")
                raise typer.Exit(130) from None

        run.__doc__ = f"{function.__doc__}\n\nExample: `{example}`"
        name = function.__name__.rstrip("_").replace("_", "-")
        app.command(name=name, rich_help_panel=whose)(run)
        return function

    return decorate


def people(json: bool) -> Console:
    """Where lines for people go: beside the output where that is JSON, so that it stays JSON."""
    return console.err if json else console.out


def fail(exc: ExamError) -> None:
    """Print an error as one sentence with the next step, and leave with its exit code."""
    console.err.print(f"[red]error:[/] {console.escape(str(exc))}")
    if exc.next_step:
        console.err.print(f"       {console.escape(exc.next_step)}")
    raise typer.Exit(exc.exit_code)


def session(roots: list[Path] | None = None) -> Session:
    """The session of this folder (or of EXAM_HOME)."""
    return Session(default_home(), roots or (), console.say)
