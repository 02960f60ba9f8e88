"""Versions are kept when they are there as the story made them; which layout they came from is no matter."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import pytest

from harness import scenario as scenarios
from harness.model import JobResult
from harness.probes.registry import Registry, Run, Version

SCENARIO = scenarios.find("broken_pipeline")
ticks: Any = SCENARIO.module("grader.phases.ticks")
nights: Any = importlib.import_module("scenario_base.drills.nights")
lineage: Any = importlib.import_module("scenario_base.drills.lineage")  # there once the scenario is loaded


@dataclass
class FakeRegistry:
    """A registry that holds these versions, each of a run of its own; `ended` are deleted runs."""

    created: Mapping[str, int]
    layout: str = "here"
    ended: tuple[str, ...] = ()

    def version(self, number: str) -> Version | None:
        if number not in self.created:
            return None
        run_id = f"{self.layout}-{number}"
        return Version(version=number, run_id=run_id, source="", tags={}, aliases=(), created=self.created[number])

    def run(self, run_id: str) -> Run | None:
        lifecycle = "deleted" if run_id in self.ended else "active"
        return Run(
            run_id=run_id, experiment_id="1", artifact_uri="", lifecycle=lifecycle, tags={}, params={}, metrics={}
        )


STORY = {"1": 1000, "2": 2000, "3": 3000}


def lost(registry: FakeRegistry) -> list[str]:
    found: list[str] = lineage.lost(cast(Registry, registry), lineage.Kept(STORY))
    return found


@pytest.mark.parametrize("layout", ["here", "elsewhere"])
def test_versions_as_the_story_made_them_are_kept_whatever_their_run_ids(layout: str) -> None:
    assert lost(FakeRegistry(STORY, layout)) == []


def test_a_version_that_is_gone_is_said() -> None:
    assert lost(FakeRegistry({"1": 1000, "3": 3000})) == ["version 2 is gone"]


def test_another_version_under_an_old_number_is_said() -> None:
    assert lost(FakeRegistry({**STORY, "3": 9000})) == ["version 3 is another one now"]


def test_a_version_that_was_made_anew_before_it_was_handed_in_is_no_version_that_was_given() -> None:
    submitted = {**STORY, "3": 9000, "4": 9500}
    kept = lineage.Kept.of(STORY, submitted)
    found = lineage.lost(cast(Registry, FakeRegistry(submitted)), kept)
    assert found == ["version 3 is another one now"]


def test_a_run_that_was_deleted_is_said() -> None:
    assert lost(FakeRegistry(STORY, ended=("here-1",))) == ["the run of version 1 is gone"]


def challenged(after: tuple[str, str | None]) -> Any:
    """A night whose champion was version 5, previous version 4, and at whose gate version 9 was."""
    result = JobResult(exit_code=0, seconds=9.0, output="")
    before, then = nights.Aliases("5", "4"), nights.Aliases(*after)
    return nights.Night(date(2024, 7, 10), result, before, then, (), (), {"challenger": "9"})


def test_whoever_is_promoted_by_hand_or_by_a_night_leaves_the_champion_before_as_previous() -> None:
    assert ticks.promotions([challenged(("9", "5")), challenged(("5", "4"))]) == (1, [])
    count, wrong = ticks.promotions([challenged(("9", "4")), challenged(("9", None))])
    assert count == 2
    assert [line.split(" after ")[0] for line in wrong] == ["previous is 4", "previous is None"]


def test_a_number_that_no_version_has_was_deleted() -> None:
    assert ticks.gaps(STORY) == []
    assert ticks.gaps({"1": 1000, "4": 4000}) == ["version 2 is gone", "version 3 is gone"]
