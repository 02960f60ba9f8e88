"""Commands of who writes scenarios."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from harness import authoring, console
from harness import scenario as scenarios
from harness.cli.app import AUTHORS, EVALUATORS, AsJson, Roots, ScenarioId, command
from harness.errors import ExamError, ScenarioError
from harness.scenario import Scenario
from harness.vocabulary import unexplained


@command(EVALUATORS, "exam list")
def list_(scenarios_: Roots = None, json: AsJson = False) -> None:
    """List the scenarios."""
    found = [scenario.spec for scenario in scenarios.available(scenarios_ or ())]
    if json:
        keys = {"id", "title", "summary", "minutes"}
        console.show_json([spec.model_dump(include=keys) for spec in found])
        return
    console.table(["scenario", "minutes", ""], [[spec.id, f"{spec.minutes:g}", spec.summary] for spec in found])


@command(AUTHORS, "exam new late_feeds --into ../my_scenarios")
def new(
    name: Annotated[str, typer.Argument(help="The new scenario's name: small letters, digits and _.")],
    into: Annotated[Path | None, typer.Option(help="A folder of yours; the public scenarios unless given.")] = None,
) -> None:
    """Make the skeleton of a scenario: small, whole, and sound by `exam lint`. Its own parts come one by one."""
    made = authoring.new(name, into)
    roots = f" --scenarios {shlex.quote(str(made.parent))}" if into is not None else ""
    console.out.print(f"Made: {made}\n", markup=False)
    console.out.print(
        f"Next: exam lint {name}{roots}\n"
        f"      exam prove {name}{roots} --seeds 20\n"
        f"      exam start {name}{roots}\n"
        "CONTRIBUTING.md has the way from a fault idea to a proven check.",
        markup=False,
    )


@command(AUTHORS, "exam lint stale_predictions")
def lint(scenario: ScenarioId, scenarios_: Roots = None) -> None:
    """Say what is wrong with a scenario's files."""
    problems = _problems(scenarios.find(scenario, scenarios_ or ()))
    for problem in problems:
        console.out.print(problem, markup=False)
    if problems:
        raise ExamError(f"{scenario} is not sound: {len(problems)} problems.", "Fix what is listed above.")
    console.out.print(f"{scenario} is sound.")


def _problems(found: Scenario) -> list[str]:
    """What lint says. Raises ScenarioError where the scenario's own code does not load."""
    try:
        return [*scenarios.lint(found), *unexplained(found)]
    except ExamError:
        raise
    except Exception as exc:  # code of an author, which may raise anything
        what = f"{type(exc).__name__}: {exc}"
        raise ScenarioError(f"The code of {found.spec.id} does not load: {what}.", "Fix it, then lint again.") from exc


@command(AUTHORS, "exam schema")
def schema() -> None:
    """Print the JSON Schema of scenario.toml, which editors check and complete it with."""
    console.out.file.write(authoring.schema_text())
