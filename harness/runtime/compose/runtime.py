"""The runtime that brings stacks up as Compose projects."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from harness.errors import AttemptError, EnvironmentFault
from harness.model import SendLoad
from harness.runtime.base import Progress, RunningStack, StackPlan
from harness.runtime.compose import engine, ports
from harness.runtime.compose.description import container_of
from harness.runtime.compose.driver import DriverContainer
from harness.runtime.compose.engine import HOME, STACK, STARTER, Failures, client, compose, containers, marked
from harness.runtime.compose.stack import ComposeStack
from harness.runtime.compose.volumes import fill, private_files
from harness.runtime.inside import places

TRIES = 5
"""Between choosing a port and publishing it somebody else may take it."""

LEADING = ("proctor", "rehearsal")
"""Containers of an attempt that a proctor leads."""


class ComposeRuntime:
    """Implements `Runtime` with containers."""

    name = "compose"
    certifiable = True
    proctored = True

    def __init__(self, home: Path) -> None:
        self._home = str(home)

    def up(self, plan: StackPlan, deadline_s: float, progress: Progress) -> RunningStack:
        """See `Runtime.up`."""
        engine.need()
        plan.folder.mkdir(parents=True, exist_ok=True)
        (plan.folder / "stack.json").write_text(plan.model_dump_json(indent=1), encoding="utf-8")
        try:
            stack = ComposeStack(plan, self._home)
            services = services_of(plan)
            _create(stack, services, self._home)
            progress("the volumes are filled")
            _start(stack, services, self._home)
            stack.boot(deadline_s, progress)
        except BaseException:
            self.down(plan.folder)
            raise
        return stack

    def attach(self, folder: Path) -> RunningStack:
        """See `Runtime.attach`."""
        path = folder / "stack.json"
        if not path.is_file():
            raise AttemptError("Nothing runs here.", "Run `exam start` first.")
        stack = ComposeStack(StackPlan.model_validate_json(path.read_text(encoding="utf-8")), self._home)
        stack.container("box")
        return stack

    def down(self, folder: Path) -> None:
        """See `Runtime.down`: goes by labels alone, so that it also finds what a crash left."""
        try:
            remove({STACK: marked(self._home, str(folder))})
        except EnvironmentFault:
            if (folder / "stack.json").is_file():  # else nothing was created, with or without an engine
                raise
        (folder / "stack.json").unlink(missing_ok=True)

    def driving(self, stacks: Sequence[RunningStack]) -> AbstractContextManager[SendLoad | None]:
        """See `Runtime.driving`: a container of its own in both stacks' networks."""
        return DriverContainer([stack for stack in stacks if isinstance(stack, ComposeStack)], self._home)


def services_of(plan: StackPlan) -> list[str]:
    """The containers of a stack by their names in compose.yaml, in the order in which they start."""
    specs = [spec for spec in plan.services if spec.graded or not plan.graded]
    homes = {container_of(spec) for spec in specs}
    leading = LEADING if plan.sealed is not None else ()
    return [name for name in ("registry", "traffic") if name in homes] + ["box", "keeper", "door", *leading]


def project_of(label: str, name: str) -> str:
    """The Compose project of a stack by its label: readable, and unlike that of any other folder."""
    short = hashlib.sha256(label.encode()).hexdigest()[:8]
    return f"exam-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')[:24] or 'stack'}-{short}"


def remove(labels: dict[str, str]) -> None:
    """Remove all containers, networks and volumes with these labels; what is gone already is no error.

    Raises EnvironmentFault when the engine refuses.
    """
    wanted = {"label": [f"{name}={value}" for name, value in labels.items()]}
    _each(lambda: containers(labels), lambda one: one.remove(force=True, v=True))
    _each(lambda: client().networks.list(filters=wanted), lambda one: one.remove())
    _each(lambda: client().volumes.list(filters=wanted), lambda one: one.remove(force=True))


def _each(find: Callable[[], Sequence[Any]], do: Callable[[Any], None]) -> None:
    def one(thing: Any) -> None:
        try:
            with suppress(NotFound):
                do(thing)
        except Failures as exc:
            if "already in progress" not in str(exc):
                raise EnvironmentFault(f"{thing.name} cannot be removed: {str(exc)[:200]}") from exc

    try:
        things = find()
    except Failures as exc:
        raise EnvironmentFault(f"The engine does not say what is there: {str(exc)[:200]}", "Try again.") from exc
    if things:
        with ThreadPoolExecutor(max_workers=min(8, len(things))) as pool:
            list(pool.map(one, things))


def _create(stack: ComposeStack, services: Sequence[str], home: str) -> None:
    plan = stack.plan
    project, told = project_of(stack.label, plan.name), _told(stack, home)
    compose(["up", "--no-start", "--no-deps", "--no-build", "--quiet-pull", "layout", *services], project, told)
    layout = stack.container("layout")  # never started, and kept: without it `docker compose down` refuses the project
    clock = {
        Path(places.CLOCK).name: plan.clock.read_bytes(),
        Path(places.STACK).name: json.dumps(stack.described(), indent=1).encode(),
    }
    uids = places.UIDS
    jobs: list[tuple[Any, ...]] = [
        (places.WORKSPACE, uids["workspace"], plan.workspace, {}),
        (places.REGISTRY, uids["registry"], plan.registry, {}),
        (places.CLOCK_FOLDER, uids["clock"], None, clock),
        (places.PRIVATE, uids["private"], None, {**_below("data", plan.private), **private_files(plan.scenario)}),
    ]
    if plan.sealed is not None:
        jobs.append((places.SEALED, uids["sealed"], plan.sealed, {}))
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        list(pool.map(lambda job: fill(layout, *job), jobs))


def _told(stack: ComposeStack, home: str) -> dict[str, str]:
    plan = stack.plan
    live = plan.sealed is not None
    return {
        "EXAM_ATTEMPT": plan.attempt or plan.name,
        "EXAM_STACK": stack.label,
        "EXAM_HOME_LABEL": marked(home, home),
        "EXAM_STARTER": engine.starter(),
        "EXAM_JUPYTER": "on" if live else "off",
        "SCENARIO": "",  # whatever stands in this environment: nothing is drawn in there
        "SEED": "",
        "TOKEN": secrets.token_urlsafe(24) if live else "",
        **{ports.VARIABLES[port]: str(number) for port, number in ports.choose(_fixed(stack)).items()},
    }


def _fixed(stack: ComposeStack) -> dict[int, int]:
    """Port in the network -> the port that was asked for here."""
    urls = stack.urls()
    return {int(urls[service].rsplit(":", 1)[1]): number for service, number in stack.plan.ports.items()}


def _start(stack: ComposeStack, services: Sequence[str], home: str) -> None:
    """Start the containers, all at once."""

    def start(name: str) -> None:
        if name == "door":
            _open(stack, home)
        else:
            _begin(stack, name)

    with ThreadPoolExecutor(max_workers=len(services)) as pool:
        list(pool.map(start, services))


def _begin(stack: ComposeStack, name: str) -> None:
    try:
        stack.container(name).start()
    except Failures as exc:
        said = str(exc)
        raise EnvironmentFault(
            f"The container {name} does not start: {said[-300:]}",
            "End what listens on the port, or start without --port." if "port" in said else "",
        ) from exc


def _open(stack: ComposeStack, home: str) -> None:
    """Start the door; where a port that was chosen is taken, it is made anew with others. Raises EnvironmentFault."""
    plan = stack.plan
    for left in reversed(range(TRIES)):
        try:
            _begin(stack, "door")
            return
        except EnvironmentFault as exc:
            said = str(exc)
            if not left or not ports.refused(said) or any(f":{number}" in said for number in plan.ports.values()):
                raise
        words = ["up", "--no-start", "--no-deps", "--no-build", "--force-recreate", "door"]
        compose(words, project_of(stack.label, plan.name), _told(stack, home))
        stack.forget()


def _below(name: str, folder: Path) -> dict[str, bytes]:
    """Files of a folder, to be put below a name."""
    return {f"{name}/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left_over(home: str) -> list[str]:
    """Folders of the stacks of a home whose starter is gone: a live attempt's go on, and what a crash left does.

    Raises EnvironmentFault where no engine answers.
    """
    mine = marked(home, home)
    label = {"label": f"{HOME}={mine}"}
    found = {each.labels[STACK]: each.labels.get(STARTER, "") for each in containers({HOME: mine})}
    for each in (*client().networks.list(filters=label), *client().volumes.list(filters=label)):
        labels = each.attrs["Labels"] or {}
        found.setdefault(labels.get(STACK, ""), labels.get(STARTER, ""))
    return sorted(stack.partition(":")[2] for stack, starter in found.items() if stack and not engine.runs(starter))


__all__ = ["ComposeRuntime", "left_over", "project_of", "remove", "services_of"]
