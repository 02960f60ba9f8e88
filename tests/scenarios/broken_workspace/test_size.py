"""The healthy code stays small enough to be read in an exam."""

from __future__ import annotations

from broken_workspace_parts import (
    WORKSPACE,
)


def test_a_candidate_can_read_the_code_in_a_quarter_of_an_hour() -> None:
    modules = sorted((WORKSPACE / "delays").glob("*.py"))
    assert len(modules) <= 12
    assert all(path.read_text().startswith('"""') for path in modules)
