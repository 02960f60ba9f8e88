"""What tests share: the tiny scenario, and a session in an empty home."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import scenario as scenarios
from harness.scenario import Scenario
from harness.session import Session

TINY = Path(__file__).parent / "tiny"


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny scenario in it, as a private pack would have."""
    root = tmp_path_factory.mktemp("pack")
    shutil.copytree(TINY, root / "tiny", ignore=shutil.ignore_patterns("__pycache__"))
    return root


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
