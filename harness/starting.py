"""The start of an attempt: a variant is laid out, its stack comes up, and each drawn fault is found in place."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness.attempt import Attempt, begun, is_public, keep, settle_live
from harness.errors import AttemptError, UsageError
from harness.journal import Journal
from harness.layout import Layouts, site_in
from harness.leading import BOOT_SECONDS
from harness.led import Led, LedStack
from harness.model import ServiceSpec, Variant
from harness.proctor.sealed import Sealed, seal
from harness.runtime.base import RunningStack, Runtime, StackPlan
from harness.scenario import Scenario
from harness.workspace import copy_site, first_commit

RETRY_SECONDS = 5
"""Between two tries to submit at the deadline, where the first failed (a full disk, a locked database)."""


@dataclass(frozen=True)
class Starter:
    """Starts one attempt in its folder, which is new. Nothing is left of one that did not start."""

    scenario: Scenario
    variant: Variant
    folder: Path
    home: Path
    runner: Runtime
    layouts: Layouts
    journal: Journal
    say: Callable[[str], None]

    def start(self, ports: Mapping[str, int]) -> tuple[Attempt, RunningStack]:
        """Lay out, bring up, and look. Raises as the runtime does, and ExamError when a fault is not in place."""
        try:
            (self.folder / "runtime").write_text(self.runner.name, encoding="utf-8")
            began = time.monotonic()
            plan = self._lay_out(ports)
            laid_out = time.monotonic() - began
            self.say("starting the stack")
            began = time.monotonic()
            stack = self.runner.up(plan, BOOT_SECONDS, self.say)
            ready = time.monotonic() - began
            self.say("looking whether everything is as it should be")
            if self.runner.proctored:
                Led(cast(LedStack, stack)).await_begun(BOOT_SECONDS)
            else:
                settle_live(self.scenario, self.variant, stack)
            attempt = self._begin(stack, laid_out, ready)
        except BaseException:
            self.runner.down(self.folder / "run")
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return attempt, stack

    def _lay_out(self, ports: Mapping[str, int]) -> StackPlan:
        site = site_in(self.folder)
        copy_site(self.layouts.broken(self.scenario, self.variant), site)
        first_commit(site.workspace)
        clock = self.folder / "clock"
        clock.write_text(f"{self.variant.business_date.isoformat()}\n", encoding="utf-8")
        name = self.folder.name
        plan = StackPlan.of(self.scenario, site, clock, name=name, folder=self.folder / "run", graded=False)
        own = {"attempt": name, "services": (*plan.services, self._deadline()), "ports": dict(ports)}
        plan = plan.model_copy(update=own)
        return self._sealed(plan) if self.runner.proctored else plan

    def _sealed(self, plan: StackPlan) -> StackPlan:
        """What a proctor is given that leads this attempt; the deadline is its own then."""
        from harness.runtime.compose.description import urls  # as harness.runtimes does

        services = self.scenario.spec.service
        sealed = Sealed(
            attempt=plan.attempt,
            scenario=self.scenario.spec.id,
            seed=self.variant.seed,
            urls=urls(services),
            public=is_public(self.scenario),
        )
        folder = self.folder / "sealed"
        seal(sealed, self.scenario, self.variant, self.layouts, folder)
        return plan.model_copy(update={"sealed": folder, "services": services})

    def _deadline(self) -> ServiceSpec:
        """Submits the state as it is when the time is over, whatever terminal is open then."""
        script = self.folder / "deadline.sh"
        script.write_text(
            f"sleep {self.scenario.spec.minutes * 60:.0f}\n"
            f"export EXAM_HOME={shlex.quote(str(self.home))}\n"
            f"cd {shlex.quote(str(Path(__file__).parent.parent))} || exit 1\n"
            f"until {shlex.quote(sys.executable)} -m harness.cli submit --yes --at-deadline --name {self.folder.name}\n"
            f"do [ $? = {AttemptError.exit_code} ] && break; sleep {RETRY_SECONDS}; done\n"  # it was submitted before
            "exec sleep 1000000\n",
            encoding="utf-8",
        )
        return ServiceSpec(name="deadline", owner="harness", command=("/bin/sh", str(script)), after="serving")

    def _begin(self, stack: RunningStack, laid_out: float, ready: float) -> Attempt:
        attempt = begun(
            self.scenario,
            self.variant,
            self.folder / "workspace",
            name=self.folder.name,
            runtime=self.runner.name,
            public=is_public(self.scenario),
            laid_out_seconds=laid_out,
            ready_seconds=ready,
        )
        if self.runner.proctored:
            told = Led(cast(LedStack, stack)).status()
            attempt = attempt.model_copy(update={name: told[name] for name in ("started_at", "deadline")})
            for name in ("workspace", "registry", "private", "sealed"):
                shutil.rmtree(self.folder / name)  # the stack has its own; what lies here would only mislead
        else:
            self.journal.append("started", {"scenario": self.scenario.spec.id, "minutes": self.scenario.spec.minutes})
        keep(attempt, self.folder)
        return attempt


def need_services(scenario: Scenario, ports: Mapping[str, int]) -> None:
    """Raise UsageError where a port is asked for something that has none."""
    known = [spec.name for spec in scenario.spec.service if spec.ready]
    for name in ports:
        if name not in known:
            raise UsageError(
                f"No service {name!r} of {scenario.spec.id} has a port.", f"Those that do: {', '.join(known)}."
            )
