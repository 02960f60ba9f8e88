"""What tests share: the tiny scenario (a skeleton as `exam new` makes it), and a session in an empty home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import authoring
from harness import scenario as scenarios
from harness.layout import Layouts
from harness.scenario import Scenario
from harness.session import Session


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private pack with the tiny scenario in it: what `exam new tiny` makes."""
    return authoring.new("tiny", tmp_path_factory.mktemp("pack")).parent


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    """Where laid-out sites are kept for all tests of a run, whatever worker runs them; in EXAM_HOME where it is set."""
    home = os.environ.get("EXAM_HOME")
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return Layouts(Path(home) / "cache" if home else run / "layouts")


@pytest.fixture
def tiny(tiny_root: Path) -> Scenario:
    """The tiny scenario."""
    return scenarios.load(tiny_root / "tiny")


@pytest.fixture
def session(tmp_path: Path, tiny_root: Path) -> Iterator[Session]:
    """A session in an empty home; whatever it started is ended."""
    here = Session(tmp_path / "home", [tiny_root])
    yield here
    for name in here.names():
        here.down(name)
