"""Commands of who holds an exam: start, grade, report, and what the machine can do."""

from __future__ import annotations

import os
import platform
import random
import shutil
import sys
from pathlib import Path
from typing import Annotated

import psutil
import typer

from harness import benchmark, benchmark_compose, console, report
from harness.cli.app import EVALUATORS, AsJson, Reports, Roots, ScenarioId, command, people, session
from harness.demo import demo as run_demo
from harness.errors import AttemptError, EnvironmentFault, ExamError, UsageError
from harness.model import RunRecord
from harness.runtime.process import MARK
from harness.runtimes import engine_problem, runtime_named
from harness.session import Session

NOT_NEEDED = ("git", "containers", "left over")
"""What `exam doctor` looks at and a practice on this machine can do without."""
MEMORY_GIB, DISK_GIB = 4.0, 4.0
"""What has to be free for an attempt and its grading, as README.md asks for it."""


@command(EVALUATORS, "exam doctor")
def doctor(
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove leftovers that belong to no attempt of this home.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Say whether this machine can hold an exam, and what is left over from earlier ones.

    With `--clean`, containers, networks and volumes of stacks that neither an attempt nor a grading under way has are
    removed; those of other homes and other projects stay.
    """
    here = session()
    if clean:
        for folder in here.clean():
            people(json).print(f"removed: {folder}", markup=False)
    facts = _facts(here)
    if json:
        console.show_json([{"what": what, "ok": ok, "detail": detail} for what, ok, detail in facts])
    else:
        console.table(["what", "fit", "found"], [[what, console.MARKS[ok], detail] for what, ok, detail in facts])
    if not all(ok for what, ok, _ in facts if what not in NOT_NEEDED):
        raise EnvironmentFault("This machine is not fit for an exam.", "Provide what is marked `no`.")


def _facts(here: Session) -> list[tuple[str, bool, str]]:
    """What is looked at, whether it suffices, and what was found."""
    memory, disk = psutil.virtual_memory().available / 2**30, shutil.disk_usage(_nearest(here.home)).free / 2**30
    git, engine, left_over = shutil.which("git"), engine_problem(), here.left_over()
    return [
        ("python", sys.version_info >= (3, 11), platform.python_version()),
        ("cores", (os.cpu_count() or 1) >= 2, str(os.cpu_count())),
        ("memory", memory > MEMORY_GIB, f"{memory:.1f} GiB free"),
        ("disk", disk > DISK_GIB, f"{disk:.0f} GiB free"),
        ("git", git is not None, git or "missing: workspaces come without a repository"),
        ("containers", engine is None, engine or "a Docker engine with Compose"),
        ("attempts", True, ", ".join(here.names()) or "none"),
        ("left over", not left_over, ", ".join(left_over) or "nothing"),
        ("processes", True, f"{len(_stack_processes())} of stacks"),
    ]


def _nearest(folder: Path) -> Path:
    """The folder, or the one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


@command(EVALUATORS, "exam start stale_predictions --seed 7")
def start(
    scenario: ScenarioId,
    seed: Annotated[int | None, typer.Option(help="Which variant; a random one unless given.")] = None,
    name: Annotated[str, typer.Option("--name", "-n", help="A name for the attempt.")] = "exam",
    port: Annotated[list[str] | None, typer.Option(help="Fix a port, as serving=3000; repeatable.")] = None,
    runtime: Annotated[str, typer.Option(help="How the stack runs.")] = "process",
    scenarios_: Roots = None,
    json: AsJson = False,
) -> None:
    """Start an attempt: lay out a broken stack, bring it up, and start the clock."""
    here = session(scenarios_)
    drawn = seed if seed is not None else random.SystemRandom().randrange(1, 2**31)
    attempt, stack = here.start(scenario, drawn, name=name, runtime=runtime, ports=_ports(port))
    leader = here.leader(attempt)
    urls = {line.name: line.url for line in stack.status() if line.url} | leader.pages()
    if json:
        shown = attempt.model_dump(mode="json", exclude={"seed", "given", "folder_of_scenario", "public"})
        console.show_json({**shown, "workspace": str(leader.workspace), "urls": urls})
        return
    console.out.print(f"\n[bold]{attempt.id}[/] has begun; it ends at {attempt.deadline}.\n")
    console.table(["what", "where"], [["workspace", str(leader.workspace)], *map(list, urls.items())])
    console.out.print(
        "\nNext: `exam brief` says what is asked; `exam status`, `exam logs serving -f` and `exam restart serving`\n"
        "work from any terminal; `exam check` runs the public checks; `exam submit` ends the attempt."
        f"\n[dim]Laid out in {attempt.laid_out_seconds:.0f} s, ready after {attempt.ready_seconds:.0f} s more.[/]"
    )


@command(EVALUATORS, "exam grade exam")
def grade(
    submission: Annotated[str, typer.Argument(help="The name of a submitted attempt, or its archive.")] = "",
    reports: Reports = Path("reports"),
    scenarios_: Roots = None,
    json: AsJson = False,
) -> None:
    """Grade a submission on a fresh stack, and write its report. It may be repeated.

    The scenario is the one in the folder from which the attempt was started. Only where that is gone, one of the same
    name is taken: below `--scenarios`, or, for a public scenario, the one that is here.
    """
    here = session(scenarios_)
    with console.grading_bar("grading") as progress:
        record, files = here.grade(submission, reports, progress)
    if json:
        console.out.print(report.record_json(record), markup=False, end="")
    else:
        console.side_by_side([(record.attempt, record)])
        console.out.print("\n" + "\n".join(str(path) for path in files), markup=False)
    if not record.score.complete:
        raise ExamError("Some checks could not be measured; that is not the candidate's fault.", "Grade again.")


@command(EVALUATORS, "exam report exam")
def report_(
    attempt: Annotated[str, typer.Argument(help="The name of a graded attempt.", show_default="exam")] = "",
    reports: Reports = Path("reports"),
    csv: Annotated[Path | None, typer.Option(help="Write the scores of all reports there into this CSV file.")] = None,
) -> None:
    """Render a graded attempt's report again from its result.json; measures nothing."""
    if csv is not None and attempt:
        raise UsageError("--csv takes all reports.", "Leave the name out.")
    if csv is not None:
        found = sorted(reports.glob("*/result.json"))
        report.scores_csv([_record(path) for path in found], csv)
        console.out.print(f"{len(found)} scores: {csv}", markup=False)
        return
    folder = reports / (attempt or "exam")
    for path in report.write(_record(folder / "result.json"), folder):
        console.out.print(str(path), markup=False)


@command(EVALUATORS, "exam down --all")
def down(
    name: Annotated[str, typer.Argument(help="An attempt; the only one unless given.")] = "",
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Also one that was not submitted: its work is lost.")
    ] = False,
) -> None:
    """End an attempt: stops all of it and deletes its files. Submissions, journals and reports are kept.

    Where an attempt was not submitted, nothing is ended without `--yes`.
    """
    here = session()
    ending = here.names() if every else [_to_end(name, here.names())]
    _need_submitted([] if yes else [attempt for attempt in ending if here.unsubmitted(attempt)])
    for attempt in ending:
        here.down(attempt)
        console.out.print(f"{attempt} is down.")
    if every:
        console.out.print("No attempt is left.")


@command(EVALUATORS, "exam demo stale_predictions")
def demo(
    scenario: ScenarioId = "stale_predictions",
    seed: Annotated[int, typer.Option(help="Which variant.")] = 1,
    shortcut: Annotated[list[str] | None, typer.Option(help="Add a wrong repair as a row; repeatable.")] = None,
    reports: Reports = Path("reports/demo"),  # beside those of attempts, so that scores.csv has none of it
    scenarios_: Roots = None,
) -> None:
    """The main job: start an attempt, grade it untouched, grade it repaired, and show both."""
    here = session(scenarios_)
    runs = run_demo(here, scenario, seed, shortcut or [], reports, console.grading_bar)
    console.out.print()
    console.side_by_side(runs)
    console.out.print("\nReports:")
    for label, record in runs:
        console.out.print(f"  {label}: {reports / record.attempt / 'report.html'}", markup=False)
    console.out.print(f"\nNext: sit it yourself: `exam start {scenario}`, then `exam brief`.")


@command(EVALUATORS, "exam bench stale_predictions")
def bench(
    scenario: ScenarioId = "stale_predictions",
    rounds: Annotated[int, typer.Option(help="How often each thing is measured.")] = 5,
    runtime: Annotated[str, typer.Option(help="Which runtime is measured.")] = "process",
    json: AsJson = False,
) -> None:
    """Measure start, memory and the overhead of grading on this machine, medians in one run."""
    here = session()
    runtime_named(runtime, here.home)
    measure = benchmark_compose.measure if runtime == "compose" else benchmark.measure
    figures = measure(here, scenario, rounds, console.say)
    if json:
        console.show_json([figure.model_dump(mode="json") for figure in figures])
    else:
        rows = [[figure.what, figure.measured, figure.limit, console.MARKS[figure.ok]] for figure in figures]
        console.table(["figure", "measured", "limit", ""], rows)
    if not all(figure.ok for figure in figures):
        raise ExamError("Some figures are beyond their limits.", "Run again on a quiet machine before you believe it.")


def _to_end(name: str, names: list[str]) -> str:
    """The attempt that is meant: the named one, or the only one. Raises AttemptError where that says none, or several.

    An attempt whose start was interrupted can be ended, too, so names are taken from what lies there.
    """
    known = f"There are: {', '.join(names)}." if names else "There is none."
    if name and name not in names:
        raise AttemptError(f"There is no attempt {name!r}.", known)
    if not name and len(names) != 1:
        raise AttemptError("Which attempt?", known + (" Name one, or give --all." if names else ""))
    return name or names[0]


def _need_submitted(lost: list[str]) -> None:
    """Raise AttemptError where attempts would be lost."""
    if lost:
        raise AttemptError(
            f"Not submitted: {', '.join(lost)}. What was done there would be lost.",
            f"Run `exam submit --name {lost[0]}` first, or end it all the same with `--yes`.",
        )


def _record(path: Path) -> RunRecord:
    if not path.is_file():
        raise UsageError(f"There is no {path}.", "Run `exam grade` first.")
    return report.read_record(path)


def _ports(words: list[str] | None) -> dict[str, int]:
    ports = {}
    for word in words or []:
        service, _, number = word.partition("=")
        if not number.isdigit() or not 0 < int(number) < 65536:
            raise UsageError(f"{word!r} is not a service and its port.", "Write it as serving=3000.")
        ports[service] = int(number)
    return ports


def _stack_processes() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if MARK in process.environ():
                found.append(process)
        except psutil.Error:
            continue
    return found
