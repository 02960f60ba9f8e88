"""Reads a candidate's diagnosis.toml. The file is hostile input: capped, cleaned, and never trusted.

    [[claim]]
    component = "cache"                      # from the vocabulary
    kind = "cache_key_incomplete"            # from the vocabulary
    first_bad_day = "2024-06-03"             # or "unknown"
    pointer = "delays/service.py:41"         # a file or folder here, or registry:<model>/<version>
    evidence = "free text for people"

    [facts]
    answers_7d = 12345

A file that is no such table is refused with its line; everything smaller is listed in `Diagnosis.problems`.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Literal

from harness.errors import SubmissionError
from harness.model import Claim, Diagnosis, DiagnosisRules
from harness.text import one_line, plain

NAME = "diagnosis.toml"
MAX_BYTES = 64 * 1024
MAX_CLAIMS = 32
"""More than count (DiagnosisRules.claims_at_most), so that a report can say which were left out."""
MAX_FACTS = 64
MAX_WORD, MAX_POINTER, MAX_EVIDENCE = 60, 300, 2000
MAX_PROBLEMS = 50

CLAIM_KEYS = {"component", "kind", "first_bad_day", "pointer", "evidence"}
_LINE_SUFFIX = re.compile(r"(:\d+(-\d+)?|#L?\d+)$")


def read(text: bytes, rules: DiagnosisRules | None = None) -> Diagnosis:
    """Read a diagnosis. With `rules`, words outside the vocabulary and claims beyond the limit are problems too.

    Raises SubmissionError, with the line where there is one, for a file that is too large, not UTF-8, not TOML,
    or whose `claim` is no list of tables or `facts` no table.
    """
    source = _decode(text)
    table = _parse(source)
    problems: list[str] = [f"Unknown key {_shown(key)}." for key in table if key not in {"claim", "facts"}]
    raw_claims = table.get("claim", [])
    if not isinstance(raw_claims, list) or not all(isinstance(item, dict) for item in raw_claims):
        raise _error("claims are written as [[claim]] tables", _line_of(source, "claim"))
    raw_facts = table.get("facts", {})
    if not isinstance(raw_facts, dict):
        raise _error("facts are written as one [facts] table", _line_of(source, "facts"))
    if len(raw_claims) > MAX_CLAIMS:
        problems.append(f"{len(raw_claims)} claims: the first {MAX_CLAIMS} are kept.")
    claims = [_claim(item, index, problems) for index, item in enumerate(raw_claims[:MAX_CLAIMS], start=1)]
    facts = _facts(raw_facts, problems)
    if rules is not None:
        _check_words(claims, rules, problems)
    return Diagnosis(claims=tuple(claims), facts=facts, problems=tuple(problems[:MAX_PROBLEMS]))


def resolve(diagnosis: Diagnosis, known: Iterable[str]) -> Diagnosis:
    """The diagnosis with each claim's `resolved` set: its pointer stands for one of `known`, or a folder of some.

    `known` are workspace paths (given or handed in) and registry entries, as `registry:<model>/<version>`.
    """
    entries = set(known)
    folders = {parent for entry in entries for parent in _parents(entry)}
    claims = [
        claim.model_copy(update={"resolved": claim.pointer in entries or claim.pointer in folders})
        for claim in diagnosis.claims
    ]
    return diagnosis.model_copy(update={"claims": tuple(claims)})


def normalise_pointer(text: str) -> str:
    """A pointer as it is compared: no ./ or / before or after, no line number, no backslash.

    `Registry:models/flight-delay/7`, `registry:flight-delay/7` and `models:/flight-delay/7` are the same entry.
    """
    pointer = one_line(text, MAX_POINTER).replace("\\", "/")
    entry = re.match(r"(?i)(?:registry:|models:)/*(?:models/)?(.*)$", pointer)
    if entry:
        return "registry:" + entry[1].rstrip("/")
    pointer = _LINE_SUFFIX.sub("", pointer)
    while pointer.startswith(("./", "/")):
        pointer = pointer.removeprefix(".").removeprefix("/")
    return pointer.rstrip("/")


def _decode(text: bytes) -> str:
    if len(text) > MAX_BYTES:
        raise _error(f"the file is larger than {MAX_BYTES // 1024} KiB")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _error("the file is not UTF-8", text[: exc.start].count(b"\n") + 1) from exc


def _parse(source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(source)
    except (ValueError, RecursionError) as exc:
        line = re.search(r"at line (\d+)", str(exc))
        at_end = source.count("\n") + 1 if "end of document" in str(exc) else None
        reason = one_line(re.sub(r"\s*\(at [^)]*\)$", "", str(exc)), 120)
        raise _error(f"this is not TOML: {reason}", int(line[1]) if line else at_end) from exc


def _error(what: str, line: int | None = None) -> SubmissionError:
    where = f"{NAME}, line {line}" if line else NAME
    return SubmissionError(f"{where}: {what}.", "Compare with the template: exam reset diagnosis.toml restores it.")


def _line_of(source: str, key: str) -> int | None:
    pattern = re.compile(rf"\s*\[*\s*[\"']?{key}\b")
    return next((number for number, line in enumerate(source.splitlines(), start=1) if pattern.match(line)), None)


def _claim(item: Mapping[str, Any], index: int, problems: list[str]) -> Claim:
    problems += [f"Claim {index}: unknown key {_shown(key)}." for key in item if key not in CLAIM_KEYS]
    texts = {}
    for key in ("component", "kind", "pointer", "evidence"):
        value = item.get(key, "")
        if not isinstance(value, str):
            problems.append(f"Claim {index}: {key} is not a text.")
            value = ""
        texts[key] = value
    return Claim(
        component=_word(texts["component"], " "),
        kind=_word(texts["kind"], "_"),
        onset=_onset(item.get("first_bad_day", ""), index, problems),
        pointer=normalise_pointer(texts["pointer"]),
        evidence=plain(texts["evidence"], MAX_EVIDENCE),
    )


def _word(text: str, joint: str) -> str:
    """A word of the vocabulary as it is compared: lower case, its parts joined in one way."""
    return joint.join(one_line(text, MAX_WORD).lower().replace("_", " ").replace("-", " ").split())


def _onset(value: object, index: int, problems: list[str]) -> date | Literal["unknown"] | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    said = value.strip().lower() if isinstance(value, str) else None
    if said == "":
        return None
    if said == "unknown":
        return "unknown"
    try:
        # strptime would also take 2024-6-3; what is written in the template is the one form.
        return date.fromisoformat(said or "")
    except ValueError:
        problems.append(f'Claim {index}: first_bad_day is neither a day like "2024-06-03" nor "unknown".')
        return None


def _facts(raw: Mapping[str, Any], problems: list[str]) -> dict[str, float]:
    facts = {}
    for key, value in list(raw.items())[:MAX_FACTS]:
        name = one_line(key, MAX_WORD)
        number = _number(value)
        if number is not None:
            facts[name] = number
        elif value != "":
            problems.append(f"Fact {_shown(key)} is not a number.")
    return facts


def _number(value: object) -> float | None:
    """A finite number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _check_words(claims: Iterable[Claim], rules: DiagnosisRules, problems: list[str]) -> None:
    listed = list(claims)
    for index, claim in enumerate(listed, start=1):
        if claim.component not in rules.components:
            problems.append(f"Claim {index}: component {_shown(claim.component)} is not in the vocabulary.")
        if claim.kind not in rules.kinds:
            problems.append(f"Claim {index}: kind {_shown(claim.kind)} is not in the vocabulary.")
    if len(listed) > rules.claims_at_most:
        problems.append(f"{len(listed)} claims: the first {rules.claims_at_most} count.")


def _parents(entry: str) -> list[str]:
    parts = entry.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _shown(text: str) -> str:
    return f'"{one_line(text, MAX_WORD)}"'
