"""Which scenario an attempt is graded by: the one that it was started from, and no other of its name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

import pytest

from harness import scenario as scenarios
from harness import variant as variants
from harness.attempt import Attempt, begun, is_public, public_checks
from harness.errors import ExamError, UsageError
from harness.model import Stack
from harness.runtime.inside import places
from harness.scenario import Scenario
from harness.session import Session


def attempt_at(scenario: Scenario, workspace: Path) -> Attempt:
    """An attempt that begins now; the variant's values do not matter."""
    variant = variants.draw(scenarios.find("stale_predictions"), 1)
    return begun(
        scenario,
        variant,
        workspace,
        name="ada",
        runtime="process",
        public=is_public(scenario),
        laid_out_seconds=0.0,
        ready_seconds=0.0,
    )


def elsewhere(attempt: Attempt, folder: str) -> Attempt:
    """The same, started from a folder that is not here."""
    return attempt.model_copy(update={"folder_of_scenario": Path(folder) / attempt.scenario})


def test_it_is_the_one_that_the_attempt_was_started_from(tiny: Scenario, tmp_path: Path) -> None:
    attempt = attempt_at(tiny, tmp_path)
    assert not attempt.public
    assert Session(tmp_path / "home").scenario_of(attempt).folder == tiny.folder


def test_a_public_one_is_found_wherever_the_project_lies(tmp_path: Path) -> None:
    here, public = Session(tmp_path / "home"), scenarios.find("stale_predictions")
    attempt = attempt_at(public, tmp_path)
    assert attempt.public
    assert here.scenario_of(elsewhere(attempt, "/another/checkout/scenarios")).folder == public.folder


def test_what_a_proctor_leads_is_public_where_its_layout_said_so(tmp_path: Path) -> None:
    """It lies in the same place whatever it is."""
    inside = Scenario(Path(places.SCENARIOS) / "stale_predictions", scenarios.find("stale_predictions").spec)
    assert not is_public(inside)
    attempt = attempt_at(inside, tmp_path).model_copy(update={"public": True})
    assert Session(tmp_path / "home").scenario_of(attempt).folder == scenarios.SCENARIOS / "stale_predictions"


def test_a_private_one_that_is_gone_is_not_replaced_by_a_public_one(tmp_path: Path, tiny_root: Path) -> None:
    private = Scenario(Path("/a/pack/stale_predictions"), scenarios.find("stale_predictions").spec)
    gone = attempt_at(private, tmp_path)
    for roots in ([], [tiny_root]):
        with pytest.raises(UsageError, match="not in /a/pack/stale_predictions any more") as refused:
            Session(tmp_path / "home", roots).scenario_of(gone)
        assert "--scenarios FOLDER" in refused.value.next_step
    named = Session(tmp_path / "home", [tiny_root, scenarios.SCENARIOS])
    assert named.scenario_of(gone).folder == scenarios.SCENARIOS / "stale_predictions"


class Unlooked:
    """A stack that public checks need not look at."""

    name = "live"


def test_public_checks_that_break_off_are_told_in_a_sentence(tiny: Scenario, tmp_path: Path) -> None:
    """They read what a candidate is at work on, and an author's checks may not be ready for all of that."""
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder)
    (folder / "grader" / "public.py").write_text("def public(stack, workspace):\n    return {}['hour']\n")
    with pytest.raises(ExamError, match="broke off: KeyError: 'hour'"):
        public_checks(Scenario(folder, tiny.spec), cast(Stack, Unlooked()), tmp_path)
