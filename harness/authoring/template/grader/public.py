"""Public checks: quick, and they tell no cause."""

from __future__ import annotations

from pathlib import Path

import httpx

from harness.model import Finding, Stack


def public(stack: Stack, workspace: Path) -> list[tuple[str, Finding]]:
    """Whether the page answers at all. Serving may be down: that is a finding, too."""
    try:
        status = httpx.get(f"{stack.endpoint('serving')}/word").status_code
    except httpx.HTTPError as exc:
        return [("the page answers", Finding(False, f"It does not answer: {exc}."))]
    return [("the page answers", Finding(status == 200, f"It answers {status}."))]
