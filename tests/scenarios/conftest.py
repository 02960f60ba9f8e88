"""A laid-out healthy site of broken_pipeline, once for each run of the tests."""

from __future__ import annotations

import pytest

from harness import scenario as scenarios
from harness import variant as variants
from harness.layout import Layouts
from harness.model import Site, Variant

BROKEN_SEED = 1


@pytest.fixture(scope="session")
def broken_variant() -> Variant:
    """The variant of BROKEN_SEED, with the faults that it draws."""
    return variants.draw(scenarios.find("broken_pipeline"), BROKEN_SEED)


@pytest.fixture(scope="session")
def broken_healthy(layouts: Layouts, broken_variant: Variant) -> Site:
    """The healthy site of BROKEN_SEED: read it, or copy it before a change. It takes a minute of one core."""
    return layouts.healthy(scenarios.find("broken_pipeline"), broken_variant)
