"""The load driver's container: a stack that it does not load stands still, and goes on afterwards."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from kits import ComposeKit, needs_engine, plan_of, running

from harness import scenario as scenarios
from harness.errors import StackError
from harness.probes.load import duet, sent_by
from harness.probes.load_capacity import saturate
from harness.runtime.base import RunningStack
from harness.runtime.compose import ComposeStack
from harness.runtime.compose.driver import standing_still
from harness.runtime.compose.engine import SERVICE_LABEL, STACK, client

pytestmark = pytest.mark.slow

STACKS = ("candidate", "reference")
QUESTIONS = [{"rows": []}] * 4


def halts(stack: RunningStack, since: float) -> dict[str, int]:
    """How often each container of a stack was made to stand still, as the engine has it in its journal."""
    assert isinstance(stack, ComposeStack)
    filters = {"label": f"{STACK}={stack.label}", "event": "pause"}
    events = client().events(since=since, until=time.time(), filters=filters, decode=True)
    return dict(Counter(event["Actor"]["Attributes"][SERVICE_LABEL] for event in events))


def test_a_stack_stands_still_while_the_other_alone_is_loaded(tmp_path: Path, tiny_root: Path) -> None:
    """It could take the machine from it, and make the reference seem slow."""
    needs_engine()
    kit, tiny = ComposeKit(tmp_path / "home"), scenarios.load(tiny_root / "tiny")
    with ExitStack() as stacks:
        plans = [plan_of(tiny, name, tmp_path / name).model_copy(update={"graded": True}) for name in STACKS]
        both = {plan.name: stacks.enter_context(running(kit, plan, 90.0)) for plan in plans}
        urls = {name: stack.endpoint("serving") for name, stack in both.items()}
        since = time.time()
        with sent_by(stacks.enter_context(kit.runtime.driving(list(both.values())))):
            duet(urls, QUESTIONS, None, rate=10, seconds=1, seed=1)
            assert [halts(stack, since) for stack in both.values()] == [{}, {}], "where both are loaded, none does"
            saturate(urls, QUESTIONS, None, 1)
        assert [halts(stack, since) for stack in both.values()] == [{"box": 1, "traffic": 1}] * 2
        for url in urls.values():
            assert httpx.get(f"{url}/word", timeout=5.0).status_code == 200, "it goes on"


@pytest.fixture
def ended(tmp_path: Path, tiny_root: Path) -> Iterator[ComposeStack]:
    """A stack whose box has ended."""
    needs_engine()
    kit, tiny = ComposeKit(tmp_path / "home"), scenarios.load(tiny_root / "tiny")
    with running(kit, plan_of(tiny, "candidate", tmp_path / "stack"), 90.0) as stack:
        assert isinstance(stack, ComposeStack)
        stack.container("box").stop(timeout=1)
        yield stack


def test_a_box_that_is_down_stands_still_as_it_is(ended: ComposeStack) -> None:
    """Else a candidate's crash would end the grading as a fault of the machine."""
    with standing_still(ended):
        box = ended.container("box")
        box.reload()
        assert box.status == "exited"


def test_a_box_that_comes_up_while_the_other_stack_is_measured_is_its_own_fault(ended: ComposeStack) -> None:
    """Its boot takes the machine; who ends itself at the right moment would make the reference seem slow."""
    with pytest.raises(StackError, match="came up") as caught, standing_still(ended):
        ended.container("box").start()
    assert caught.value.stack == "candidate"
