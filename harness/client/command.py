"""The commands of `exam` in the box: the words, outputs and exit codes of `exam` on a host."""

from __future__ import annotations

import argparse
import base64
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.client.ask import CHECK_SECONDS, REHEARSE_SECONDS, Proctor, steady
from harness.client.box import Box, following, last_lines
from harness.client.show import MARKS, fail, say, show_json, table
from harness.errors import EnvironmentFault, ExamError, NotReady, UsageError
from harness.waiting import DeadlinePassed, until

READY_SECONDS = 240.0
LOG_LINES = 12
STOPPED = 130

PUBLIC = "These are the public checks. Hidden ones remain, and only they decide."


def brief(told: argparse.Namespace) -> int:
    """Print what you are asked to do."""
    if not told.vocabulary:
        text = Proctor().text("/brief")
        if told.json:
            show_json({"brief": text})
        else:
            say(text)
        return 0
    found = Proctor().get("/vocabulary")
    if told.json:
        show_json(found)
        return 0
    for title, words in (("component", found["components"]), ("kind", found["kinds"])):
        table([title, "meaning"], [[word, found["meanings"].get(word, "")] for word in words])
        say()
    table(["fact", "question"], [[fact["name"], fact["question"]] for fact in found["facts"]])
    return 0


def status(told: argparse.Namespace) -> int:
    """Show the services, where the time stands, and where the workspace lies."""
    box = Box()
    if told.env:
        for name, value in box.variables().items():
            say(f"export {name}={shlex.quote(value)}")
        return 0
    found = Proctor().get("/status")
    lines = _services(found["services"], box)
    if told.json:
        show_json({**found, "workspace": str(box.workspace), "services": lines})
        return 0
    left = f"ends at {found['deadline']}, {found['minutes_left']:g} minutes left"
    ended = "submitted" if found["submitted"] else left
    say(f"{found['id']} ({found['scenario']}), {ended}; workspace {box.workspace}; today is {found['business_date']}\n")
    rows = [[line["name"], line["state"], line["url"], line["detail"]] for line in lines]
    table(["service", "state", "address", ""], rows)
    return 0


def _services(seen: list[dict[str, str]], box: Box) -> list[dict[str, str]]:
    """The services as the proctor sees them, with what the box's supervisor says of those that run here."""
    try:
        here = box.services()
    except EnvironmentFault:
        here = {}
    lines = []
    for line in seen:
        mine = here.pop(line["name"], None)
        failed = mine is not None and mine["state"] in ("failed", "stopped")
        state = mine["state"] if mine is not None and failed else line["state"]
        lines.append({**line, "state": state, "detail": mine["detail"] if mine else ""})
    return lines + [
        {"name": name, "state": mine["state"], "url": "", "detail": mine["detail"]} for name, mine in here.items()
    ]


def logs(told: argparse.Namespace) -> int:
    """Show the log of one of your services."""
    log = Path(Box().need(told.service)["log"])
    for line in last_lines(log, told.lines):
        say(line)
    if told.follow:
        with suppress(KeyboardInterrupt):  # the way out
            for line in following(log):
                say(line)
    return 0


def restart(told: argparse.Namespace) -> int:
    """Restart one of your services and wait until it is ready."""
    box = Box()
    url = {line["name"]: line["ready"] for line in Proctor().get("/status")["services"]}.get(told.service, "")
    began = time.monotonic()
    box.restart(told.service)

    def ready() -> bool:
        mine = box.need(told.service)
        if mine["word"] == "FATAL":
            raise _not_ready(box, told.service, "ends again and again")
        return mine["state"] == "running" and (not url or steady(url))

    try:
        until(ready, READY_SECONDS, 0.5)
    except DeadlinePassed:
        raise _not_ready(box, told.service, f"is not ready after {READY_SECONDS:.0f} s") from None
    say(f"{told.service} is ready after {time.monotonic() - began:.1f} s.")
    return 0


def _not_ready(box: Box, name: str, what: str) -> NotReady:
    end = "\n".join(last_lines(Path(box.need(name)["log"]), LOG_LINES)) or "(no log)"
    return NotReady("box", f"{name} {what}. The end of its log:\n{end}", f"Run `exam logs {name}`.")


def reset(told: argparse.Namespace) -> int:
    """Put a file of the workspace back as it was given."""
    box = Box()
    path = _from_workspace(told.file, box.workspace)
    given = Proctor().post("/reset", {"file": path})
    box.put(path, base64.b64decode(given["content"]), int(given["mode"]))
    say(f"{path} is as it was given.")
    return 0


def _from_workspace(file: str, workspace: Path) -> str:
    """A file as seen from the workspace, wherever the terminal stands in it."""
    path = Path(file)
    if not path.is_absolute() and workspace in (Path.cwd(), *Path.cwd().parents):
        path = Path.cwd() / path
    if path.is_absolute() and path.is_relative_to(workspace):
        path = path.relative_to(workspace)
    if ".." in path.parts or path.is_absolute():
        raise UsageError(f"{file!r} does not lie in the workspace.", "Name it as seen from the workspace.")
    return path.as_posix()


def check(told: argparse.Namespace) -> int:
    """Run the public checks on the live stack. Hidden checks remain: they decide."""
    _show_checks(Proctor().post("/check", seconds=CHECK_SECONDS), told.json)
    return 0


def estimate(told: argparse.Namespace) -> int:
    """Write down what you expect. It earns no points; the report shows it beside what happened."""
    Proctor().post("/estimate", {"text": told.text})
    say("Recorded.")
    return 0


def rehearse(told: argparse.Namespace) -> int:
    """Boot what would be graded if it were submitted now, and run the public checks on it."""
    found = Proctor().post("/rehearse", seconds=REHEARSE_SECONDS)
    if told.json:
        show_json(found)
    else:
        say(found["sentence"])
        if found["boots"]:
            _show_checks(found["checks"], False)
    return 0 if found["boots"] else 1


def submit(told: argparse.Namespace) -> int:
    """Show what will be graded, and hand it in. This ends the attempt."""
    if told.json and not told.yes:
        raise UsageError("With --json nobody is asked.", "Give --yes, too.")
    proctor = Proctor()
    if not told.json:
        found = proctor.get("/changes")
        table(["change", "file"], [[change["how"], change["path"]] for change in found["changes"]])
        missing = ", ".join(found["missing"])
        say(f"Missing: {missing}." if missing else "diagnosis.toml and INCIDENT.md are there.")
    if not told.yes and not _agreed():
        say("Nothing was handed in.")
        return 0
    done = proctor.post("/submit", seconds=CHECK_SECONDS)
    if told.json:
        show_json(done)
    else:
        say(f"Handed in after {done['minutes_used']:g} minutes (sha256 {done['sha256'][:12]}…). The attempt has ended.")
    return 0


def _agreed() -> bool:
    sys.stdout.write("Hand this in? [y/N]: ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show_checks(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    table(["", "check", ""], [[MARKS[one["ok"]], one["check"], one["sentence"]] for one in found])
    say(f"\n{PUBLIC}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="exam", description="A practical exam in production readiness: your side of it.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(run: Callable[[argparse.Namespace], int], *, json: bool = False) -> argparse.ArgumentParser:
        line = (run.__doc__ or "").strip()
        made: argparse.ArgumentParser = commands.add_parser(run.__name__, help=line, description=line)
        made.set_defaults(run=run)
        if json:
            made.add_argument("--json", action="store_true", help="print JSON, for programs")
        return made

    add(brief, json=True).add_argument(
        "--vocabulary", action="store_true", help="only the words that a diagnosis may use"
    )
    add(status, json=True).add_argument("--env", action="store_true", help="only the variables, as `export` lines")
    log = add(logs)
    log.add_argument("service")
    log.add_argument("--follow", "-f", action="store_true", help="show new lines as they are written")
    log.add_argument("--lines", "-l", type=int, default=50, help="how many of the last lines")
    add(restart).add_argument("service")
    add(reset).add_argument("file", help="a file, as seen from the workspace or from here")
    add(check, json=True)
    add(estimate).add_argument("text", help="time to repair, impact, risk")
    add(rehearse, json=True)
    add(submit, json=True).add_argument("--yes", "-y", action="store_true", help="do not ask")
    return top


def main(words: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    told = parser().parse_args(words)
    try:
        code: int = told.run(told)
    except ExamError as exc:
        fail(str(exc), exc.next_step)
        return exc.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return STOPPED
    except BrokenPipeError:  # `exam logs serving | head`
        sys.stderr.close()
        return 0
    except OSError as exc:
        fail(f"The box did not do it: {exc}.", "Mend that, and run the command again.")
        return EnvironmentFault.exit_code
    return code
