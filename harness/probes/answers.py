"""What an answer of the serving stack must look like, told from the bytes of a body.

Shared by the probe that asks (`http`) and the one that loads (`load_driver`), so that both call the same thing right.
Bodies come from a stack that may be hostile: a body is bytes until it is parsed here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MAX_BODY = 8 * 1024 * 1024
"""Largest body that is read, in bytes. 500 rows need about 300 kB."""


class _Part(BaseModel):
    """A part of an answer: frozen, more keys are free, numbers are finite and are no strings."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class ServedModel(_Part):
    """Which model gave an answer."""

    model_config = ConfigDict(strict=False, coerce_numbers_to_str=True)

    name: str
    version: str
    run_id: str


class Answer(_Part):
    """One row's answer. `features` holds text, finite numbers or None under the model's input names."""

    row_id: str
    p_late: float = Field(ge=0, le=1)
    model: ServedModel
    feature_date: str | None
    features: dict[str, str | float | None]


_ANSWERS: TypeAdapter[list[Answer]] = TypeAdapter(list[Answer])


class Malformed(ValueError):
    """A body that is no right answer; the message is one sentence without a subject ("answered …")."""


def parse(body: bytes, row_ids: Sequence[str]) -> list[Answer]:
    """The answers in a body, one for each row id and in that order.

    Raises Malformed with what is wrong with it: no JSON, NaN or infinity, another number or order of rows, a field
    that is missing, of a wrong type or out of range.
    """
    try:
        answers = _ANSWERS.validate_python(_json(body))
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Malformed(f"answered with a wrong {where}: {first['msg']}") from None
    if len(answers) != len(row_ids):
        raise Malformed(f"answered {len(answers)} rows where {len(row_ids)} were asked")
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
    text = body[:length].decode("utf-8", errors="replace")
    return "".join(char if char.isprintable() else " " for char in text).strip() or "(empty)"
