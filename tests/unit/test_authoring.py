"""A new scenario is sound at once, a bad name is refused, and the published schema is what the code says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import authoring, proof
from harness import scenario as scenarios
from harness.authoring.skeleton import TEMPLATE
from harness.errors import EnvironmentFault, UsageError
from harness.layout import Layouts
from harness.variant import draw

TOMLS = [*sorted(scenarios.SCENARIOS.glob("*/scenario.toml")), TEMPLATE / "scenario.toml"]


def named_schema(toml: Path) -> Path:
    """What the first line of a scenario.toml names as its schema."""
    line = toml.read_text(encoding="utf-8").splitlines()[0]
    found = re.fullmatch(r"#:schema (\S+)", line)
    assert found, line
    return (toml.parent / found[1]).resolve()


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of a schema that has fields."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for part in schema.values():
            yield from objects(part)


# --- exam new ---------------------------------------------------------------------------------------------------------


def test_a_new_scenario_is_sound_and_carries_its_name(tmp_path: Path) -> None:
    made = authoring.new("late_feeds", tmp_path / "pack")
    scenario = scenarios.find("late_feeds", [tmp_path / "pack"])
    assert scenario.folder == made
    assert scenario.spec.title == "Late feeds"
    assert scenarios.lint(scenario) == []
    assert proof.plan(scenario).uncovered == ()
    assert all((made / "workspace" / "bin" / name).stat().st_mode & 0o100 for name in ("serve", "speak"))


def test_the_template_is_a_scenario_itself() -> None:
    assert scenarios.lint(scenarios.load(TEMPLATE)) == []


def test_two_new_scenarios_of_one_pack_do_not_meet(tmp_path: Path) -> None:
    for name in ("one", "two"):
        authoring.new(name, tmp_path / "pack")
    for name in ("one", "two"):
        scenario = scenarios.find(name, [tmp_path / "pack"])
        site = Layouts(tmp_path / "cache").broken(scenario, draw(scenario, 1))
        assert (site.workspace / "trace.txt").read_text(encoding="utf-8") in ("sick", "tired")


@pytest.mark.parametrize("name", ["Late", "late feeds", "late-feeds", "7up", "_base", "base", "", "../up", "a/b", "é"])
def test_a_name_that_is_no_folder_and_no_package_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid name for a scenario") as caught:
        authoring.new(name, tmp_path / "pack")
    assert "small letter" in caught.value.next_step
    assert not (tmp_path / "pack").exists()


def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(tmp_path: Path) -> None:
    made = authoring.new("late_feeds", tmp_path)
    (made / "BRIEF.md").write_text("Mine.", encoding="utf-8")
    with pytest.raises(UsageError, match="'late_feeds' is taken"):
        authoring.new("late_feeds", tmp_path)
    assert (made / "BRIEF.md").read_text(encoding="utf-8") == "Mine."


def test_the_name_of_a_public_scenario_is_taken_in_every_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is taken"):
        authoring.new("stale_predictions", tmp_path)


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(EnvironmentFault, match="cannot be written") as caught:
        authoring.new("late_feeds", tmp_path / "file" / "pack")
    assert "--into" in caught.value.next_step
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- exam schema ------------------------------------------------------------------------------------------------------


def test_the_published_schema_is_what_the_records_say() -> None:
    text = authoring.PUBLISHED.read_text(encoding="utf-8")
    assert text == authoring.schema_text(), "write it anew: exam schema > docs/scenario.schema.json"


def test_every_part_of_the_schema_is_described_and_refuses_unknown_keys() -> None:
    parts = list(objects(json.loads(authoring.schema_text())))
    assert len(parts) == 8
    for part in parts:
        assert part["description"]
        assert part["additionalProperties"] is False


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    text = authoring.schema_text()
    definitions = json.loads(text)["definitions"]
    names = set(re.findall(r'"#/definitions/(\w+)"', text))
    assert names == set(definitions)


@pytest.mark.parametrize("toml", TOMLS, ids=lambda path: path.parent.name)
def test_every_scenario_names_the_published_schema(toml: Path) -> None:
    assert named_schema(toml) == authoring.PUBLISHED


def test_a_scenario_elsewhere_names_the_schema_that_lies_beside_it(tmp_path: Path) -> None:
    made = authoring.new("late_feeds", tmp_path / "pack")
    schema = named_schema(made / "scenario.toml")
    assert schema == (tmp_path / "pack" / "scenario.schema.json").resolve()
    assert schema.read_text(encoding="utf-8") == authoring.schema_text()
