"""Makes text that somebody else wrote safe to show: no control characters, no direction tricks, capped."""

from __future__ import annotations

import unicodedata

_KEPT = {"\n", "\t"}
# Cc control, Cf format (bidi overrides and isolates, zero-width), Cs lone surrogates, Co private use, Cn unassigned.
_DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
CUT = " […]"


def plain(text: str, limit: int) -> str:
    """`text` with line breaks unified, control and format characters removed, and at most `limit` characters.

    What was cut off is shown by a mark that counts within the limit. Marks that combine without end are cut too: at
    most four follow one another.
    """
    kept: list[str] = []
    marks = 0
    # Only what could still be shown is looked at: text may be very long.
    for char in text[: 4 * limit + 16].replace("\r\n", "\n").replace("\r", "\n"):
        category = unicodedata.category(char)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks <= 4 and (char in _KEPT or category not in _DROPPED):
            kept.append(char)
    if len(kept) > limit or len(text) > 4 * limit + 16:
        kept = [*kept[: max(0, limit - len(CUT))], *CUT]
    return "".join(kept)


def one_line(text: str, limit: int) -> str:
    """`plain`, with all white space between words as one space."""
    return " ".join(plain(text, limit).split())
