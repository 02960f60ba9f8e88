"""Hidden checks."""

from __future__ import annotations

import httpx

from harness.errors import BadAnswer
from harness.model import Bench, Finding, Stack


def grade(bench: Bench) -> None:
    """Look at the word, restart, look again."""
    with bench.activity("words", "drill"):
        bench.check("answers", lambda stack: Finding(bool(_word(stack)), "The page answers."))
        bench.check("says_healthy", _healthy)
    if not bench.wants("says_it_again"):
        return  # a drill that nobody wants is left out
    with bench.guard("says_it_again"), bench.activity("restart", "drill"):
        for stack in (bench.candidate, bench.reference):
            stack.restart("serving")
        bench.check("says_it_again", _healthy)


def _healthy(stack: Stack) -> Finding:
    word = _word(stack)
    return Finding(word == "healthy", f"The page says {word!r}.", word)


def _word(stack: Stack) -> str:
    try:
        return httpx.get(f"{stack.endpoint('serving')}/word", timeout=5.0).text.strip()
    except httpx.HTTPError as exc:
        raise BadAnswer(stack.name, f"The page does not answer: {exc}.") from exc
