"""`exam`: the command line. The only place that prints and picks exit codes."""

from __future__ import annotations

import os
import platform
import random
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import psutil
import typer
from click.exceptions import Abort

from harness import authoring, benchmark, benchmark_compose, console, proof, report
from harness import scenario as scenarios
from harness.demo import demo as run_demo
from harness.errors import AttemptError, EnvironmentFault, ExamError, UsageError
from harness.model import Finding, RunRecord
from harness.runtime.base import Runtime
from harness.runtime.process import MARK
from harness.session import Session, default_home, runtime_named

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="A practical exam in production readiness for machine-learning engineers.",
)

NOT_NEEDED = ("git", "containers", "left over")
"""What `exam doctor` looks at and a practice on this machine can do without."""

F = TypeVar("F", bound=Callable[..., Any])

Name = Annotated[str, typer.Option("--name", "-n", help="Which attempt, where there are several.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Roots = Annotated[list[Path] | None, typer.Option("--scenarios", help="A folder with further scenarios; repeatable.")]
ScenarioId = Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario's name, from `exam list`.")]
Reports = Annotated[Path, typer.Option(help="Where reports are written.")]


def command(example: str) -> Callable[[F], F]:
    """A command of `exam`: its help ends with an example, and errors become one sentence with the next step."""

    def decorate(function: F) -> F:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except ExamError as exc:
                fail(exc)
            except (KeyboardInterrupt, Abort):
                console.err.print("Stopped. Nothing is lost; run the same command to go on.")
                raise typer.Exit(130) from None

        run.__doc__ = f"{function.__doc__}\n\nExample: `{example}`"
        name = function.__name__.rstrip("_").replace("_", "-")
        app.command(name=name)(run)
        return function

    return decorate


def fail(exc: ExamError) -> None:
    """Print an error as one sentence with the next step, and leave with its exit code."""
    console.err.print(f"[red]error:[/] {console.escape(str(exc))}")
    if exc.next_step:
        console.err.print(f"       {console.escape(exc.next_step)}")
    raise typer.Exit(exc.exit_code)


def session(roots: list[Path] | None = None) -> Session:
    """The session of this folder (or of EXAM_HOME)."""
    return Session(default_home(), roots or (), console.say)


@command("exam list")
def list_(scenarios_: Roots = None, json: AsJson = False) -> None:
    """List the scenarios."""
    found = [scenario.spec for scenario in scenarios.available(scenarios_ or ())]
    if json:
        keys = {"id", "title", "summary", "minutes"}
        console.show_json([spec.model_dump(include=keys) for spec in found])
        return
    console.table(["scenario", "minutes", ""], [[spec.id, f"{spec.minutes:g}", spec.summary] for spec in found])


@command("exam doctor")
def doctor(
    clean: Annotated[bool, typer.Option("--clean", help="Remove what no attempt of this home belongs to.")] = False,
    json: AsJson = False,
) -> None:
    """Say whether this machine can hold an exam, and what is left over from earlier ones.

    With `--clean`, containers, networks and volumes of stacks that neither an attempt nor a grading under way has are
    removed; those of other homes and other projects stay.
    """
    here = session()
    if clean:
        for folder in here.clean():
            console.out.print(f"removed: {folder}", markup=False)
    memory = psutil.virtual_memory()
    facts: list[tuple[str, bool, str]] = [
        ("python", sys.version_info >= (3, 11), platform.python_version()),
        ("cores", (os.cpu_count() or 1) >= 2, str(os.cpu_count())),
        ("memory", memory.available > 3 * 2**30, f"{memory.available / 2**30:.1f} GiB free"),
        (
            "disk",
            shutil.disk_usage(Path.cwd()).free > 2 * 2**30,
            f"{shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB free",
        ),
        (
            "git",
            shutil.which("git") is not None,
            shutil.which("git") or "missing: workspaces come without a repository",
        ),
        ("containers", here.engine_problem() is None, here.engine_problem() or "a Docker engine with Compose"),
        ("attempts", True, ", ".join(here.names()) or "none"),
        ("left over", not here.left_over(), ", ".join(here.left_over()) or "nothing"),
        ("processes", True, f"{sum(1 for _ in _stack_processes())} of stacks"),
    ]
    if json:
        console.show_json([{"what": what, "ok": ok, "detail": detail} for what, ok, detail in facts])
    else:
        console.table(["", "", ""], [[what, console.MARKS[ok], detail] for what, ok, detail in facts])
    if not all(ok for what, ok, _ in facts if what not in NOT_NEEDED):
        raise EnvironmentFault("This machine is not fit for an exam.", "Mend what is marked `no`.")


@command("exam start stale_predictions --seed 7")
def start(
    scenario: ScenarioId,
    seed: Annotated[int | None, typer.Option(help="Which variant; drawn by chance unless given.")] = None,
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
    urls = {line.name: line.url for line in stack.status() if line.url} | here.pages(attempt)
    if json:
        shown = attempt.model_dump(mode="json", exclude={"seed", "given", "folder_of_scenario"})
        workspace = str(here.workspace(attempt))
        console.show_json({**shown, "workspace": workspace, "urls": urls})
        return
    console.out.print(f"\n[bold]{attempt.id}[/] has begun; it ends at {attempt.deadline}.\n")
    console.table(["", ""], [["workspace", str(here.workspace(attempt))], *map(list, urls.items())])
    console.out.print(
        "\nNext: `exam brief` says what is asked; `exam status`, `exam logs serving -f` and `exam restart serving`\n"
        "work from any terminal; `exam check` runs the public checks; `exam submit` ends the attempt."
        f"\n[dim]Laid out in {attempt.laid_out_seconds:.0f} s, ready after {attempt.ready_seconds:.0f} s more.[/]"
    )


@command("exam brief")
def brief(
    scenario: Annotated[str, typer.Argument(help="A scenario; the one under way unless given.")] = "",
    vocabulary: Annotated[bool, typer.Option(help="Only the words that a diagnosis may use.")] = False,
    name: Name = "",
    scenarios_: Roots = None,
) -> None:
    """Print what the candidate is asked to do."""
    here = session(scenarios_)
    found = scenarios.find(scenario, here.roots) if scenario else here.scenario_of(here.attempt(name))
    if not vocabulary:
        console.show_markdown(found.brief)
        return
    rules = found.spec.diagnosis
    console.table(["component"], [[word] for word in rules.components])
    console.out.print()
    console.table(["kind"], [[word] for word in rules.kinds])
    console.out.print()
    console.table(["fact", "question"], [[fact.name, fact.question] for fact in found.spec.fact])


@command("exam status")
def status(
    name: Name = "",
    env: Annotated[
        bool, typer.Option("--env", help="Only the stack's variables, as `export` lines for a shell.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show the services of the attempt, where the time stands, and where the workspace lies."""
    here = session()
    attempt = here.asked(here.attempt(name))
    if env:
        for variable, value in here.stack(attempt).variables().items():
            console.out.print(f"export {variable}={shlex.quote(value)}", markup=False)
        return
    lines = here.status(attempt)
    if json:
        shown = attempt.model_dump(mode="json", include={"id", "scenario", "started_at", "deadline", "submitted"})
        services = [line.model_dump(mode="json") for line in lines]
        console.show_json(
            {**shown, "workspace": str(here.workspace(attempt)), "services": services, "pages": here.pages(attempt)}
        )
        return
    ended = "submitted" if attempt.submitted else f"ends at {attempt.deadline}"
    console.out.print(f"[bold]{attempt.id}[/] ({attempt.scenario}), {ended}; workspace {here.workspace(attempt)}\n")
    rows = [[line.name, line.state, line.url, line.detail] for line in lines]
    rows += [[page, "", url, ""] for page, url in here.pages(attempt).items()]
    console.table(["service", "state", "address", ""], rows)


@command("exam logs serving -f")
def logs(
    service: Annotated[str, typer.Argument(help="A service, from `exam status`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-l", help="How many of the last lines.")] = 50,
    name: Name = "",
) -> None:
    """Show a service's log."""
    here = session()
    subprocess.run(here.stack(here.attempt(name)).log_command(service, lines, follow), check=False)


@command("exam restart serving")
def restart(
    service: Annotated[str, typer.Argument(help="One of your services, from `exam status`.")], name: Name = ""
) -> None:
    """Restart one of the candidate's services and wait until it is ready."""
    here = session()
    seconds = here.restart(here.attempt(name), service)
    console.out.print(f"{service} is ready after {seconds:.1f} s.")


@command("exam reset delays/service.py")
def reset(file: Annotated[str, typer.Argument(help="A file, as seen from the workspace.")], name: Name = "") -> None:
    """Put a file of the workspace back as it was given."""
    here = session()
    here.reset(here.attempt(name), file)
    console.out.print(f"{file} is as it was given.")


@command("exam check")
def check(name: Name = "", json: AsJson = False) -> None:
    """Run the public checks on the live stack. Hidden checks remain: they decide."""
    here = session()
    _show_checks(here.check(here.attempt(name)), json)


@command('exam estimate "45 minutes; every answer since Monday is affected"')
def estimate(
    text: Annotated[str, typer.Argument(help="What you expect: time to repair, impact, risk.")], name: Name = ""
) -> None:
    """Write down what you expect. It earns no points; the report shows it beside what came."""
    here = session()
    here.estimate(here.attempt(name), text)
    console.out.print("Written down.")


@command("exam rehearse")
def rehearse(name: Name = "", json: AsJson = False) -> None:
    """Boot what would be graded if it were submitted now, and run the public checks on it."""
    here = session()
    found = here.rehearse(here.attempt(name))
    if json:
        console.show_json(found)
    else:
        console.out.print(found.sentence, markup=False)
        _show_checks([(label, Finding(ok, sentence)) for label, ok, sentence in found.checks], False)
    if not found.boots:
        raise typer.Exit(1)


@command("exam submit")
def submit(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    at_deadline: Annotated[bool, typer.Option("--at-deadline", hidden=True)] = False,
    name: Name = "",
    json: AsJson = False,
) -> None:
    """Show what will be graded, and hand it in. This ends the attempt."""
    here = session()
    attempt = here.attempt(name)
    if attempt.submitted:
        raise AttemptError(
            f"The attempt {attempt.id!r} is submitted already.", f"Grade it with `exam grade {attempt.id}`."
        )
    frozen = here.asked(attempt).submitted
    if not json and not frozen:
        changed = here.changed(attempt)
        console.table(["change", "file"], [[change.how, console.foreign(change.path)] for change in changed])
        console.out.print(_papers(here.missing_papers(attempt)), markup=False)
    if not yes and not frozen and not typer.confirm("Hand this in?"):
        console.out.print("Nothing was handed in.")
        return
    submission = here.submit(attempt, at_deadline=at_deadline)
    if json:
        console.show_json(submission)
        return
    console.out.print(f"Handed in: {submission.archive} (sha256 {submission.sha256[:12]}…)")
    console.out.print(f"Next: `exam grade {attempt.id}`, then `exam down {attempt.id}`.")


@command("exam grade exam")
def grade(
    submission: Annotated[str, typer.Argument(help="The name of a submitted attempt, or its archive.")] = "",
    reports: Reports = Path("reports"),
    json: AsJson = False,
) -> None:
    """Grade a submission on a fresh stack, and write its report. It may be repeated."""
    here = session()
    with console.grading_bar("grading") as progress:
        record, files = here.grade(submission, reports, progress)
    if json:
        console.show_json(record)
    else:
        console.side_by_side([(record.attempt, record)])
        console.out.print("\n" + "\n".join(str(path) for path in files), markup=False)
    if not record.score.complete:
        raise ExamError("Some checks could not be measured; that is not the candidate's fault.", "Grade again.")


@command("exam report exam")
def report_(
    attempt: Annotated[str, typer.Argument(help="The name of a graded attempt.")] = "exam",
    reports: Reports = Path("reports"),
    csv: Annotated[Path | None, typer.Option(help="Write the scores of all reports there into this CSV file.")] = None,
) -> None:
    """Render a graded attempt's report again from its result.json; measures nothing."""
    if csv is not None:
        found = sorted(reports.glob("*/result.json"))
        report.scores_csv([_record(path) for path in found], csv)
        console.out.print(f"{len(found)} scores: {csv}", markup=False)
        return
    record = _record(reports / attempt / "result.json")
    for path in report.write(record, reports / attempt):
        console.out.print(str(path), markup=False)


@command("exam prove stale_predictions --row healthy")
def prove(
    scenario: ScenarioId,
    row: Annotated[list[str] | None, typer.Option(help="Only rows whose name begins so; repeatable.")] = None,
    rotate: Annotated[str, typer.Option(help="Only the part that this commit's turn has.")] = "",
    shortcuts: Annotated[int, typer.Option(help="How many shortcuts a turn has.")] = 3,
    one: Annotated[bool, typer.Option("--one", help="A turn has a single row.")] = False,
    write: Annotated[bool, typer.Option(help="Write docs/proof/SCENARIO.md, and its cells beside it.")] = False,
    recorded: Annotated[bool, typer.Option(help="Take rows that stand in docs/proof for this code as run.")] = False,
    fresh: Annotated[bool, typer.Option(help="Run rows again that were run before.")] = False,
    dry: Annotated[bool, typer.Option(help="Only list the rows.")] = False,
    runtime: Annotated[str, typer.Option(help="How the stacks run.")] = "process",
    seeds: Annotated[int | None, typer.Option(min=1, help="Lay out so many variants instead; starts no stack.")] = None,
    scenarios_: Roots = None,
    json: AsJson = False,
) -> None:
    """Prove that the scenario grades right. Stopped, it goes on where it stopped.

    With `--seeds 200` no row is run: variants are laid out and looked at, in seconds. Each must apply, differ from the
    one before, come out the same again, and hold neither its cause nor healthy text.
    """
    here = session(scenarios_)
    found = scenarios.find(scenario, here.roots)
    if seeds is not None:
        if row or rotate or write or fresh or dry or recorded:
            raise UsageError("--seeds runs no rows.", f"Run `exam prove {scenario} --seeds {seeds}` alone.")
        _prove_seeds(found, seeds, json)
        return
    plan = proof.plan(found)
    rows = _turn(plan.rows, rotate, shortcuts, one) if rotate else list(plan.rows)
    rows = [one for one in rows if not row or any(one.id.startswith(name) for name in row)]
    if not rows:
        raise UsageError("No row has such a name.", f"Run `exam prove {scenario} --dry` to see them.")
    if dry:
        console.table(["row", "fault", "seed"], [[one.name, one.fault, str(one.seed)] for one in rows])
        return
    runner = runtime_named(runtime, here.home)
    known_as = scenario if runtime == "process" else f"{scenario}-{runtime}"
    folder, page = here.home / "proof" / known_as, Path("docs/proof") / f"{known_as}.md"
    record = page.with_suffix(".json")
    ledger = proof.Ledger(folder / "ledger", found, runtime, record if recorded else None)
    cells = _prove(here, found, rows, runner, folder, ledger, fresh)
    if json:
        console.show_json([cell.model_dump(mode="json") for cell in cells])
    if write:
        page.parent.mkdir(parents=True, exist_ok=True)
        known = [cell for one in plan.rows if (cell := ledger.get(one)) is not None]
        page.write_text(proof.markdown(found, plan, known, runtime), encoding="utf-8")
        ledger.write_record(plan.rows, record)
        console.out.print(f"Written: {page}, {record}", markup=False)
    whole = not row and not rotate
    wrong = [cell.row for cell in cells if not cell.good] + ([*plan.uncovered, *plan.unfailed] if whole else [])
    console.out.print(f"{len(cells) - len([c for c in cells if not c.good])} of {len(cells)} rows as they must be")
    if wrong:
        raise ExamError(f"The proof does not hold: {', '.join(wrong)}.", "Look at what differs above.")


@command("exam lint stale_predictions")
def lint(scenario: ScenarioId, scenarios_: Roots = None) -> None:
    """Say what is wrong with a scenario's files."""
    problems = scenarios.lint(scenarios.find(scenario, scenarios_ or ()))
    for problem in problems:
        console.out.print(problem, markup=False)
    if problems:
        raise ExamError(f"{scenario} is not sound: {len(problems)} problems.", "Mend what stands above.")
    console.out.print(f"{scenario} is sound.")


@command("exam new late_feeds --into ../my_scenarios")
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


@command("exam schema")
def schema() -> None:
    """Print the JSON Schema of scenario.toml, which editors check and complete it with."""
    console.out.file.write(authoring.schema_text())


@command("exam down --all")
def down(
    name: Annotated[str, typer.Argument(help="An attempt; the only one unless given.")] = "",
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """End an attempt: no process, no port and no file stays but submissions, journals and reports."""
    here = session()
    names = here.names() if every else [name] if name in here.names() else []
    if not names and not every:
        names = here.names() if not name and len(here.names()) == 1 else []
        if not names:
            known = ", ".join(here.names()) or "none"
            raise AttemptError(f"Which attempt? There are: {known}.", "Name one, or give --all.")
    for one in names:
        here.down(one)
        console.out.print(f"{one} is down.")


@command("exam demo stale_predictions")
def demo(
    scenario: ScenarioId = "stale_predictions",
    seed: Annotated[int, typer.Option(help="Which variant.")] = 1,
    shortcut: Annotated[list[str] | None, typer.Option(help="Add a wrong repair as a row; repeatable.")] = None,
    reports: Reports = Path("reports"),
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


@command("exam bench stale_predictions")
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


def _turn(rows: Sequence[proof.Row], commit: str, shortcuts: int, one: bool) -> list[proof.Row]:
    return proof.rotating_one(rows, commit) if one else proof.rotating(rows, commit, shortcuts)


def _prove(
    here: Session,
    found: scenarios.Scenario,
    rows: list[proof.Row],
    runner: Runtime,
    folder: Path,
    ledger: proof.Ledger,
    fresh: bool,
) -> list[proof.Cell]:
    cells: list[proof.Cell] = []
    with console.grading_bar(found.spec.id) as progress:

        def step(row: proof.Row, what: str, done: int, of: int) -> None:
            progress(f"[{len(cells) + 1}/{len(rows)}] {row.id}: {what}", done, of)

        for cell in proof.prove(rows, found, here.layouts, runner, folder, ledger, step, fresh):
            cells.append(cell)
            mark = console.MARKS[cell.good]
            detail = "; ".join(cell.differs)
            console.out.print(
                f"{mark} {cell.row} {cell.low:g}-{cell.high:g} {cell.seconds:.0f} s {console.escape(detail)}"
            )
    return cells


def _prove_seeds(found: scenarios.Scenario, count: int, json: bool) -> None:
    cells: list[proof.SeedCell] = []
    with console.grading_bar(found.spec.id) as progress:
        for cell in proof.prove_seeds(found, count):
            cells.append(cell)
            progress(f"seed {cell.seed}", len(cells), count)
    told = proof.summary(found, cells)
    if json:
        console.show_json({"seeds": [cell.model_dump() for cell in cells], "summary": told.model_dump()})
    else:
        _show_seeds(cells, told)
    wrong = [*(f"seed {seed}" for seed in told.failed), *(["the points at stake"] if told.problems else [])]
    if wrong:
        raise ExamError(f"The proof does not hold: {', '.join(wrong)}.", "Look at what stands above.")


def _show_seeds(cells: list[proof.SeedCell], told: proof.SeedsSummary) -> None:
    for cell in cells:
        for problem in cell.problems:
            console.out.print(f"{console.MARKS[False]} seed {cell.seed}: {console.escape(problem)}")
    for problem in told.problems:
        console.out.print(f"{console.MARKS[False]} {problem}")
    console.table(["form", "drawn"], [[form, str(times)] for form, times in told.drawn.items()])
    console.out.print()
    console.table(
        ["points at stake", "least", "most"],
        [[skill, f"{low:g}", f"{high:g}"] for skill, (low, high) in told.points.items()],
    )
    console.out.print(
        f"\n{len(cells) - len(told.failed)} of {len(cells)} seeds as they must be; "
        f"{told.sets_of_forms} different sets of forms"
    )


def _show_checks(found: list[tuple[str, Finding]], json: bool) -> None:
    if json:
        console.show_json(
            [{"check": label, "ok": finding.ok, "sentence": finding.sentence} for label, finding in found]
        )
        return
    console.table(["", "check", ""], [[console.MARKS[f.ok], label, console.foreign(f.sentence)] for label, f in found])
    console.out.print("\nThese are the public checks. Hidden ones remain, and only they decide.")


def _papers(missing: list[str]) -> str:
    return f"Missing: {', '.join(missing)}." if missing else "diagnosis.toml and INCIDENT.md are there."


def _record(path: Path) -> RunRecord:
    if not path.is_file():
        raise UsageError(f"There is no {path}.", "Run `exam grade` first.")
    return report.read_record(path)


def _ports(words: list[str] | None) -> dict[str, int]:
    ports = {}
    for word in words or []:
        service, _, number = word.partition("=")
        if not number.isdigit() or not 0 < int(number) < 65536:
            raise UsageError(f"{word!r} is no port.", "Write it as serving=3000.")
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


def main() -> None:
    """Entry point of `exam`. Being terminated is like Ctrl-C: what was started is ended first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()


if __name__ == "__main__":
    main()
