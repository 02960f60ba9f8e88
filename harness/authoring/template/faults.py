"""Two forms of one fault: a sick word, and a tired one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import httpx

from harness.model import DrawnFault, Form, Site, Stack, Symptom


def _form(word: str) -> Form:
    def draw(rng: random.Random, values: Mapping[str, Any]) -> DrawnFault:
        return DrawnFault(
            slot="word",
            form=word,
            values={"marks": rng.randrange(1, 4)},
            pairs=(("page", "wrong_word"),),
            pointers=("word.txt",),
            symptom="The page says another word.",
            shows_in=("says_healthy",),
        )

    def apply(site: Site, fault: DrawnFault) -> None:
        site.replace("word.txt", "healthy", word + "!" * fault.values["marks"])

    def tell(site: Site, fault: DrawnFault) -> None:
        site.story["word"] = word

    def in_place(stack: Stack, fault: DrawnFault) -> str | None:
        said = httpx.get(f"{stack.endpoint('serving')}/word").text
        return None if said.startswith(word) else f"the page says {said!r}"

    def visible(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
        measured = (broken.workspace / "trace.txt").read_text(encoding="utf-8") == word
        return Symptom("traces with the word", float(measured), 0.0)

    return Form("word", word, draw, apply, in_place, visible, tell)


FORMS = (_form("sick"), _form("tired"))
