"""How a submission is laid out for a grade, whatever it holds in the place of what is fixed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness import grading
from harness import scenario as scenarios
from harness.errors import SubmissionError
from harness.layout import site_in
from harness.model import Site
from harness.scenario import Scenario
from harness.workspace import freeze

FIXED = ("monitoring/snapshot.csv", "feeds")


@pytest.fixture
def fixed(tiny: Scenario) -> Scenario:
    return replace(tiny, spec=tiny.spec.model_copy(update={"fixed": FIXED}))


@pytest.fixture
def healthy(tmp_path: Path) -> Site:
    site = site_in(tmp_path / "healthy")
    for name in ("monitoring/snapshot.csv", "feeds/2024/a.csv"):
        (site.workspace / name).parent.mkdir(parents=True)
        (site.workspace / name).write_text("given")
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE runs (run_uuid TEXT)")
    return site


def nothing(workspace: Path) -> None:
    """Nothing of what is fixed is there."""


def a_file_for_a_folder(workspace: Path) -> None:
    """A file stands where a folder has to be, at each place."""
    (workspace / "monitoring").write_text("x")
    (workspace / "feeds").write_text("x")


def a_folder_for_a_file(workspace: Path) -> None:
    """The reverse, and a file below it where a folder has to be."""
    (workspace / "monitoring" / "snapshot.csv").mkdir(parents=True)
    (workspace / "monitoring" / "snapshot.csv" / "x").write_text("x")
    (workspace / "feeds").mkdir()
    (workspace / "feeds" / "2024").write_text("x")


@pytest.mark.parametrize("stands", [nothing, a_file_for_a_folder, a_folder_for_a_file])
def test_what_is_fixed_comes_fresh_whatever_stands_in_its_place(
    fixed: Scenario, healthy: Site, tmp_path: Path, stands: Callable[[Path], None]
) -> None:
    site, place = site_in(tmp_path / "site"), tmp_path / "graded"
    (site.workspace / "own.txt").write_text("mine")
    stands(site.workspace)
    (site.registry / "mlflow.db").write_bytes((healthy.registry / "mlflow.db").read_bytes())
    freeze(site, tmp_path / "a.tar.gz", ())
    grading.lay_out_submission(tmp_path / "a.tar.gz", fixed, healthy, place / "workspace", place / "registry")
    for name in ("monitoring/snapshot.csv", "feeds/2024/a.csv"):
        assert (place / "workspace" / name).read_text() == "given"
    assert (place / "workspace" / "own.txt").read_text() == "mine"
    assert not (place / "unpacked").exists()


def test_a_link_in_the_way_of_what_is_fixed_is_removed_and_not_followed(
    fixed: Scenario, healthy: Site, tmp_path: Path
) -> None:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    for folder in (workspace, outside):
        folder.mkdir()
    (outside / "snapshot.csv").write_text("mine")
    (workspace / "monitoring").symlink_to(outside)
    grading.restore_fixed(fixed, healthy, workspace)
    assert (workspace / "monitoring" / "snapshot.csv").read_text() == "given"
    assert (outside / "snapshot.csv").read_text() == "mine"


def test_a_submission_that_cannot_be_laid_out_is_refused_with_the_next_step(
    fixed: Scenario, healthy: Site, tmp_path: Path
) -> None:
    site, place = site_in(tmp_path / "site"), tmp_path / "graded"
    (site.registry / "mlflow.db").write_bytes((healthy.registry / "mlflow.db").read_bytes())
    (site.workspace / "own.txt").write_text("mine")
    freeze(site, tmp_path / "a.tar.gz", ())
    place.mkdir()
    (place / "workspace").write_text("in the way")
    with pytest.raises(SubmissionError, match="cannot be laid out") as caught:
        grading.lay_out_submission(tmp_path / "a.tar.gz", fixed, healthy, place / "workspace", place / "registry")
    assert caught.value.next_step


def test_a_grader_is_named_by_its_code_wherever_that_lies(tiny: Scenario, tmp_path: Path) -> None:
    copied = scenarios.load(shutil.copytree(tiny.folder, tmp_path / "here" / "tiny"))
    assert grading.versions(copied)["grader"] == grading.versions(tiny)["grader"]
    (copied.folder / "shortcuts" / "more.py").write_text("MORE = 1\n", encoding="utf-8")
    assert grading.versions(copied)["grader"] == grading.versions(tiny)["grader"], "no grading reads it"
    (copied.folder / "grader" / "more.py").write_text("MORE = 1\n", encoding="utf-8")
    assert grading.versions(copied)["grader"] != grading.versions(tiny)["grader"]
