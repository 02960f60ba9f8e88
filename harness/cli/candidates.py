"""Commands of who sits an exam."""

from __future__ import annotations

import shlex
import subprocess
import time
from contextlib import suppress
from typing import Annotated

import typer

from harness import console
from harness import scenario as scenarios
from harness.attempt import minutes_left, seconds_left
from harness.cli.app import CANDIDATES, AsJson, Name, Roots, command, session
from harness.errors import AttemptError, EnvironmentFault, UsageError
from harness.model import Finding
from harness.vocabulary import vocabulary as meaning_of


@command(CANDIDATES, "exam brief")
def brief(
    scenario: Annotated[str, typer.Argument(help="A scenario; the one under way unless given.")] = "",
    vocabulary: Annotated[
        bool, typer.Option(help="Only the words that a diagnosis may use, and what they mean.")
    ] = False,
    name: Name = "",
    scenarios_: Roots = None,
    json: AsJson = False,
) -> None:
    """Print what the candidate is asked to do."""
    here = session(scenarios_)
    found = scenarios.find(scenario, here.roots) if scenario else here.scenario_of(here.attempt(name))
    if not vocabulary:
        _show_brief(found.brief, json)
        return
    words = meaning_of(found)
    if json:
        console.show_json(words)
        return
    for title, named in (("component", words["components"]), ("kind", words["kinds"])):
        console.table([title, "meaning"], [[word, words["meanings"].get(word, "")] for word in named])
        console.out.print()
    console.table(["fact", "question"], [[fact["name"], fact["question"]] for fact in words["facts"]])


@command(CANDIDATES, "exam status")
def status(
    name: Name = "",
    env: Annotated[
        bool, typer.Option("--env", help="Only the stack's variables, as `export` lines for a shell.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show the services of the attempt, where the time stands, and where the workspace lies."""
    here = session()
    attempt = here.attempt(name)
    if env:
        for variable, value in here.stack(attempt).variables().items():
            console.out.print(f"export {variable}={shlex.quote(value)}", markup=False)
        return
    lines, leader = here.status(attempt), here.leader(attempt)
    attempt, pages = attempt.model_copy(update={"submitted": attempt.submitted or leader.frozen()}), leader.pages()
    left, today = minutes_left(attempt), leader.today()
    if json:
        shown = attempt.model_dump(mode="json", include={"id", "scenario", "started_at", "deadline", "submitted"})
        services = [line.model_dump(mode="json") for line in lines]
        more = {"minutes_left": left, "business_date": today, "workspace": str(leader.workspace)}
        console.show_json(shown | more | {"services": services, "pages": pages})
        return
    ended = "submitted" if attempt.submitted else f"ends at {attempt.deadline}, {left:g} minutes left"
    where = f"workspace {leader.workspace}; today is {today}"
    console.out.print(f"[bold]{attempt.id}[/] ({attempt.scenario}), {ended}; {where}\n")
    rows = [[line.name, line.state, line.url, line.detail] for line in lines]
    rows += [[page, "", url, ""] for page, url in pages.items()]
    console.table(["service", "state", "address", ""], rows)


@command(CANDIDATES, "exam logs serving -f")
def logs(
    service: Annotated[str, typer.Argument(help="A service, from `exam status`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show new lines as they are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-l", help="How many of the last lines.")] = 50,
    name: Name = "",
) -> None:
    """Show a service's log."""
    here = session()
    command_line = here.stack(here.attempt(name)).log_command(service, lines, follow)
    with suppress(KeyboardInterrupt):  # the way out of --follow
        if subprocess.run(command_line, check=False).returncode > 0:  # below 0 a pipe was closed, as by `| head`
            raise EnvironmentFault(f"The log of {service!r} could not be read.", "Look at `exam status`.")


@command(CANDIDATES, "exam restart serving")
def restart(
    service: Annotated[str, typer.Argument(help="One of your services, from `exam status`.")], name: Name = ""
) -> None:
    """Restart one of the candidate's services and wait until it is ready."""
    here = session()
    seconds = here.restart(here.attempt(name), service)
    console.out.print(f"{service} is ready after {seconds:.1f} s.")


@command(CANDIDATES, "exam reset delays/service.py")
def reset(file: Annotated[str, typer.Argument(help="A file, as seen from the workspace.")], name: Name = "") -> None:
    """Put a file of the workspace back as it was given."""
    here = session()
    here.leader(here.attempt(name)).reset(file)
    console.out.print(f"{file} is as it was given.")


@command(CANDIDATES, "exam check")
def check(name: Name = "", json: AsJson = False) -> None:
    """Run the public checks on the live stack. Hidden checks remain: they decide."""
    here = session()
    _show_checks(here.leader(here.attempt(name)).check(), json)


@command(CANDIDATES, 'exam estimate "45 minutes; every answer since Monday is affected"')
def estimate(
    text: Annotated[str, typer.Argument(help="What you expect: time to repair, impact, risk.")], name: Name = ""
) -> None:
    """Write down what you expect. It earns no points; the report shows it beside what happened."""
    here = session()
    here.leader(here.attempt(name)).estimate(text)
    console.out.print("Recorded.")


@command(CANDIDATES, "exam rehearse")
def rehearse(name: Name = "", json: AsJson = False) -> None:
    """Boot what would be graded if it were submitted now, and run the public checks on it."""
    here = session()
    found = here.leader(here.attempt(name)).rehearse()
    if json:
        console.show_json(found)
    else:
        console.out.print(found.sentence, markup=False)
    if found.boots and not json:
        _show_checks([(label, Finding(ok, sentence)) for label, ok, sentence in found.checks], False)
    if not found.boots:
        raise typer.Exit(1)


@command(CANDIDATES, "exam submit")
def submit(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    at_deadline: Annotated[bool, typer.Option("--at-deadline", hidden=True)] = False,
    name: Name = "",
    json: AsJson = False,
) -> None:
    """Show what will be graded, and hand it in. This ends the attempt."""
    if json and not yes:
        raise UsageError("With --json nobody is asked.", "Give --yes, too.")
    here = session()
    attempt = here.attempt(name)
    if attempt.submitted:
        raise AttemptError(
            f"The attempt {attempt.id!r} is submitted already.", f"Grade it with `exam grade {attempt.id}`."
        )
    leader = here.leader(attempt)
    frozen = leader.frozen()
    if not json and not frozen and not at_deadline:
        changed, missing = leader.changed()
        console.table(["change", "file"], [[change.how, console.foreign(change.path)] for change in changed])
        console.out.print(_papers(missing), markup=False)
    if not yes and not frozen and not typer.confirm("Hand this in?"):
        console.out.print("Nothing was handed in.")
        return
    if at_deadline:
        time.sleep(max(0.0, seconds_left(attempt)))  # whoever calls began to count when the stack was started
    submission = here.submit(attempt, at_deadline=at_deadline)
    if json:
        console.show_json(submission)
        return
    console.out.print(f"Handed in: {submission.archive} (sha256 {submission.sha256[:12]}…)")
    console.out.print(f"Next: `exam grade {attempt.id}`, then `exam down {attempt.id}`.")


def _show_brief(text: str, json: bool) -> None:
    if json:
        console.show_json({"brief": text})
    else:
        console.show_markdown(text)


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
