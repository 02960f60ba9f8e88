"""What an answer of the serving stack must look like, told from the bytes of a body.

Shared by the probe that asks (`http`) and the one that loads (`load_driver`), so that both call the same thing right.
Bodies come from a stack that may be hostile: a body is bytes until it is parsed here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

MAX_BODY = 8 * 1024 * 1024
"""Largest body that is read, in bytes. 500 rows need about 300 kB."""

MAX_ROW_BYTES = 16 * 1024
"""Of a body for each row that was asked; by the contract one needs about 600. More keys are free within it."""

MAX_FEATURES = 100
"""Of a row; models have twelve."""

SENTENCE = 200
"""Characters of what is said about a body: it may quote the body, and is kept for each request."""


class _Part(BaseModel):
    """A part of an answer: frozen, more keys are free, numbers are finite and are no strings."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class ServedModel(_Part):
    """Which model gave an answer."""

    model_config = ConfigDict(strict=False, coerce_numbers_to_str=True)

    name: str
    version: str
    run_id: str


def _few(features: Any) -> Any:
    """Refuses before each is looked at: pydantic makes three errors of a wrong one."""
    if isinstance(features, dict) and len(features) > MAX_FEATURES:
        raise ValueError(f"more than {MAX_FEATURES}")
    return features


class Answer(_Part):
    """One row's answer. `features` holds text, finite numbers or None under the model's input names."""

    row_id: str
    p_late: float = Field(ge=0, le=1)
    model: ServedModel
    feature_date: str | None
    features: Annotated[dict[str, str | float | None], BeforeValidator(_few)]


_ANSWERS: TypeAdapter[list[Answer]] = TypeAdapter(list[Answer])


class Malformed(ValueError):
    """A body that is no right answer; the message is one short sentence without a subject ("answered …")."""

    def __init__(self, sentence: str) -> None:
        super().__init__(_printable(sentence[:SENTENCE]))


class Oversized(Malformed):
    """A body that holds more than any answer needs: looking at it would cost whoever looks."""


def most_bytes(rows: int) -> int:
    """What a right answer to so many rows has at most, in bytes."""
    return MAX_ROW_BYTES * max(1, rows)


def parse(body: bytes, row_ids: Sequence[str]) -> list[Answer]:
    """The answers in a body, one for each row id and in that order.

    Raises Malformed with what is wrong with it: no JSON, NaN or infinity, another number or order of rows, a field
    that is missing, of a wrong type or out of range; Oversized for more than `most_bytes`.
    """
    if len(body) > most_bytes(len(row_ids)):
        raise Oversized(f"answered more than {MAX_ROW_BYTES} bytes a row")
    content = _json(body)
    if isinstance(content, list) and len(content) != len(row_ids):
        raise Malformed(f"answered {len(content)} rows where {len(row_ids)} were asked")
    try:
        answers = _ANSWERS.validate_python(content)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"]) or "the body"
        raise Malformed(f"answered with a wrong {where}: {first['msg']}") from None
    for index, (answer, row_id) in enumerate(zip(answers, row_ids, strict=True)):
        if answer.row_id != row_id:
            raise Malformed(f"answered row_id {answer.row_id[:40]!r} at place {index}, where {row_id!r} was asked")
    return answers


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as exc:
        raise Malformed(f"answered with no valid JSON ({str(exc)[:80]}): {shown(body)}") from None


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large")
    return number


def shown(body: bytes, length: int = 120) -> str:
    """The start of a body as printable text for a sentence; control characters become spaces."""
    return _printable(body[:length].decode("utf-8", errors="replace")).strip() or "(empty)"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
