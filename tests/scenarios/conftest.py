"""A laid-out healthy site of broken_pipeline, once for each run of the tests; it is kept where EXAM_HOME is set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import scenario as scenarios
from harness import variant as variants
from harness.layout import Layouts
from harness.model import Site, Variant

BROKEN_SEED = 1


@pytest.fixture(scope="session")
def broken_layouts(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    """Where laid-out sites of broken_pipeline are kept; `broken(scenario, variant)` gives one with faults."""
    home = os.environ.get("EXAM_HOME")
    return Layouts(Path(home) / "cache" if home else tmp_path_factory.mktemp("broken_pipeline"))


@pytest.fixture(scope="session")
def broken_variant() -> Variant:
    """The variant of BROKEN_SEED, with the faults that it draws."""
    return variants.draw(scenarios.find("broken_pipeline"), BROKEN_SEED)


@pytest.fixture(scope="session")
def broken_healthy(broken_layouts: Layouts, broken_variant: Variant) -> Site:
    """The healthy site of BROKEN_SEED: read it, or copy it before a change. It takes a minute of one core."""
    return broken_layouts.healthy(scenarios.find("broken_pipeline"), broken_variant)
