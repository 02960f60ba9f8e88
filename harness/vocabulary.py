"""The words of a diagnosis and what they mean, for who writes one.

Meanings are rows `| word | meaning |` of the file VOCABULARY.md in a scenario's folder, or in `_base` beside it. They
earn and cost nothing: what a claim is worth stands with the faults.
"""

from __future__ import annotations

import re
from typing import Any

from harness.scenario import Scenario

FILE = "VOCABULARY.md"
ROW = re.compile(r"^\| ([\w ]+?) \| (.+?) \|$", re.MULTILINE)


def vocabulary(scenario: Scenario) -> dict[str, Any]:
    """`components`, `kinds`, `facts` (each with name and question), and `meanings` by word, where there are any."""
    spec = scenario.spec
    words = {*spec.diagnosis.components, *spec.diagnosis.kinds}
    return {
        "components": list(spec.diagnosis.components),
        "kinds": list(spec.diagnosis.kinds),
        "facts": [{"name": fact.name, "question": fact.question} for fact in spec.fact],
        "meanings": {word: meaning for word, meaning in _rows(scenario) if word in words},
    }


def unexplained(scenario: Scenario) -> list[str]:
    """A sentence for each component and kind that has no meaning."""
    words = vocabulary(scenario)
    every = [*words["components"], *words["kinds"]]
    return [f"{FILE} says nothing of {word!r}" for word in every if word not in words["meanings"]]


def _rows(scenario: Scenario) -> list[tuple[str, str]]:
    places = [folder / FILE for folder in (scenario.folder, scenario.base) if folder is not None]
    return next((ROW.findall(path.read_text(encoding="utf-8")) for path in places if path.is_file()), [])
