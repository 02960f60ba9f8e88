"""Renders a run record: result.json, report.html, junit.xml, and scores.csv over many records.

Rendering never measures, and the page says nothing that result.json lacks. All text is shown as text.
"""

from __future__ import annotations

from pathlib import Path

from harness.model import RunRecord
from harness.report.files import read_record, record_json, scores_csv
from harness.report.junit import junit_xml
from harness.report.numbers import earned, span
from harness.report.page import html
from harness.report.points import SkillPoints, lost, said, skills

__all__ = [
    "SkillPoints",
    "earned",
    "html",
    "junit_xml",
    "lost",
    "read_record",
    "record_json",
    "said",
    "scores_csv",
    "skills",
    "span",
    "write",
]


def write(record: RunRecord, folder: Path) -> list[Path]:
    """Write result.json, report.html and junit.xml into `folder` (made if it is not there); returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"result.json": record_json(record), "report.html": html(record), "junit.xml": junit_xml(record)}
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in contents]
