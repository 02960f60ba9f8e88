"""Asks the proctor over HTTP."""

from __future__ import annotations

import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit

from harness.errors import EnvironmentFault, ExamError

PROCTOR = "http://proctor:8088"
MAX_BYTES = 100 * 2**20
"""The largest answer is a file as it was given, at most 64 MiB, in base64."""

QUICK_SECONDS = 30.0
CHECK_SECONDS = 180.0
REHEARSE_SECONDS = 540.0
"""Freezing, four minutes for a boot, the public checks; and the room may have to come up first."""


ANSWERS = 8
"""On fresh connections, which spread over workers 54/46: one of two that is not ready is met 99 times in 100."""


def answers(url: str) -> bool:
    """Whether an address answers 200 within two seconds."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=2.0)
    try:
        connection.request("GET", place.path or "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def steady(url: str) -> bool:
    """Whether an address answers 200 so many times in a row: one worker may be ready before the others are."""
    return all(answers(url) for _ in range(ANSWERS))


class Proctor:
    """The proctor of this attempt. Every method raises ExamError with its sentence, next step and exit code."""

    def __init__(self, url: str = "") -> None:
        self._url = urlsplit(url or os.environ.get("EXAM_PROCTOR") or PROCTOR)

    def get(self, path: str) -> Any:
        """What the proctor says at a path."""
        return self._decoded(self._exchange("GET", path, None, QUICK_SECONDS))

    def text(self, path: str) -> str:
        """The same, as text."""
        return self._exchange("GET", path, None, QUICK_SECONDS).decode("utf-8", "replace")

    def post(self, path: str, body: dict[str, Any] | None = None, seconds: float = QUICK_SECONDS) -> Any:
        """Ask for something to be done, and wait at most so many seconds for it."""
        return self._decoded(self._exchange("POST", path, json.dumps(body or {}).encode(), seconds))

    def _exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> bytes:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port or 80, timeout=seconds)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read(MAX_BYTES)
        except TimeoutError as exc:
            raise EnvironmentFault(f"The proctor does not answer within {seconds:.0f} s.", "Try again.") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise EnvironmentFault(
                f"The proctor does not answer: {exc}.", "Try again; if it recurs, tell whoever holds the exam."
            ) from exc
        finally:
            connection.close()
        if answer.status != 200:
            raise self._error(answer.status, content)
        return content

    def _error(self, status: int, content: bytes) -> ExamError:
        try:
            told = json.loads(content)
            error = ExamError(str(told["error"]), str(told["next_step"]))
            error.exit_code = int(told["exit_code"])
        except (ValueError, KeyError, TypeError):
            return EnvironmentFault(f"The proctor answered {status}.", "Try again in a moment.")
        return error

    def _decoded(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError as exc:
            raise EnvironmentFault("The proctor's answer is not JSON.", "Try again.") from exc
