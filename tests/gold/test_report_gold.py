"""The page of a fixed record is kept here, so that a change of a report is seen in review.

`UPDATE_GOLD=1 pytest tests/gold` writes it anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from report_records import good

from harness.report import page

GOLD = Path(__file__).with_name("report.html")


def normalised(text: str) -> list[str]:
    """Lines without indentation, empty lines and runs of spaces: their layout is nobody's promise."""
    return [line for raw in text.splitlines() if (line := re.sub(r"\s+", " ", raw).strip())]


def test_a_fixed_record_gives_the_known_page() -> None:
    made = page.html(good())
    if os.environ.get("UPDATE_GOLD"):
        GOLD.write_text(made, encoding="utf-8")
    assert normalised(made) == normalised(GOLD.read_text(encoding="utf-8"))
