"""The proctor over HTTP. Who asks may be hostile: bodies, connections, and the time for each are bounded."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from harness.attempt import ESTIMATE
from harness.errors import AttemptError, ExamError, StackError, SubmissionError, UsageError
from harness.model import Record
from harness.proctor.lead import Busy, Proctor, shown
from harness.text import plain

BODY_BYTES = 16 * 1024
BODY_SECONDS = 10.0
HEAD_SECONDS = 10.0
"""A request's head and body are some hundred bytes from the same machine."""

LIFE_SECONDS = 600.0
"""The longest that a connection lasts: a rehearsal takes at most nine minutes."""

CONNECTIONS = 64
"""The box's clients, the page and health checks need a handful; more at once get 503."""

SENTENCE = 400

STATUS = {Busy: 429, UsageError: 404, SubmissionError: 422, AttemptError: 409, StackError: 502}
"""From the most special to the least."""

B = TypeVar("B", bound=Record)
Endpoint = Callable[[Request], Awaitable[Response]]


class Nothing(Record):
    """The body of a request that says nothing."""


class EstimateBody(Record):
    """The body of POST /estimate."""

    text: str = Field(max_length=ESTIMATE)


class ResetBody(Record):
    """The body of POST /reset."""

    file: str = Field(max_length=1000)


class PromptProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for a request's head and for the whole connection, which uvicorn has none for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Arm both deadlines."""
        super().connection_made(transport)
        self._timers = [
            self.loop.call_later(HEAD_SECONDS, self._need_head),
            self.loop.call_later(LIFE_SECONDS, transport.abort),
        ]

    def connection_lost(self, exc: Exception | None) -> None:
        """Disarm them."""
        super().connection_lost(exc)
        for timer in self._timers:
            timer.cancel()

    def _need_head(self) -> None:
        if getattr(self, "scope", None) is None:
            self.transport.abort()


class BadBody(Exception):
    """A request's body that is none."""

    def __init__(self, status: int, sentence: str, next_step: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.next_step = next_step


async def body_of(request: Request, kind: type[B]) -> B:
    """The body as a record. Raises BadBody for one that is too large, too slow, or not what is asked for."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise BadBody(415, "The body must be JSON.", "Send it with `Content-Type: application/json`.")
    content = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > BODY_BYTES:
                    raise BadBody(413, f"The body has more than {BODY_BYTES} bytes.", "Shorten it.")
        return kind.model_validate(json.loads(content or b"{}"))
    except TimeoutError as exc:
        raise BadBody(408, f"The body did not come within {BODY_SECONDS:.0f} s.", "Send it at once.") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        next_step = "Shorten it." if first["type"] == "string_too_long" else "Send what is asked for, and nothing else."
        raise BadBody(400, plain(f"{place}: {first['msg']}", SENTENCE), next_step) from exc
    except (ValueError, RecursionError, ClientDisconnect) as exc:
        raise BadBody(400, "The body is not JSON.", "Send a JSON object.") from exc


class Desk:
    """The endpoints of one proctor. `problem` is a sentence when the attempt could not begin."""

    def __init__(self, proctor: Proctor) -> None:
        self._proctor = proctor
        self.problem = ""

    async def health(self, request: Request) -> Response:
        """Whether the attempt has begun."""
        try:
            self._proctor.need_begun()
        except AttemptError as exc:
            told = {"ready": False, "failed": bool(self.problem), "sentence": self.problem or str(exc)}
            return JSONResponse(told, 503)
        return JSONResponse({"ready": True, "failed": False, "sentence": "The attempt has begun."})

    async def brief(self, request: Request) -> Response:
        """The brief, as Markdown."""
        return Response(self._proctor.scenario.brief, media_type="text/markdown")

    async def vocabulary(self, request: Request) -> Response:
        """The words of a diagnosis."""
        return JSONResponse(self._proctor.vocabulary())

    async def status(self, request: Request) -> Response:
        """The clock and the services."""
        return JSONResponse(await run_in_threadpool(self._proctor.status))

    async def changes(self, request: Request) -> Response:
        """What a submission would hold."""
        return JSONResponse(await run_in_threadpool(self._proctor.changed))

    async def estimate(self, request: Request) -> Response:
        """Write an estimate down."""
        said = await body_of(request, EstimateBody)
        await run_in_threadpool(self._proctor.estimate, said.text)
        return JSONResponse({})

    async def check(self, request: Request) -> Response:
        """Run the public checks."""
        await body_of(request, Nothing)
        found = await run_in_threadpool(self._proctor.check)
        return JSONResponse([_check(name, finding.ok, finding.sentence) for name, finding in found])

    async def reset(self, request: Request) -> Response:
        """Hand out a file as it was given."""
        said = await body_of(request, ResetBody)
        content, executable = await run_in_threadpool(self._proctor.given_file, said.file)
        mode = 0o755 if executable else 0o644
        return JSONResponse({"file": said.file, "content": base64.b64encode(content).decode(), "mode": mode})

    async def rehearse(self, request: Request) -> Response:
        """Boot what would be graded."""
        await body_of(request, Nothing)
        found = await run_in_threadpool(self._proctor.rehearse)
        checks = [_check(name, ok, sentence) for name, ok, sentence in found.checks]
        shown_fields = {"boots": found.boots, "seconds": found.seconds, "sentence": plain(found.sentence, 3000)}
        return JSONResponse({**shown_fields, "checks": checks})

    async def submit(self, request: Request) -> Response:
        """Freeze the state; once."""
        await body_of(request, Nothing)
        done = await run_in_threadpool(self._proctor.submit)
        kept = done.model_dump(mode="json", include={"sha256", "submitted_at", "minutes_used"})
        return JSONResponse({**kept, "changes": [shown(change) for change in done.changes]})


def app(desk: Desk, hosts: list[str]) -> Starlette:
    """The application; it answers only to these host names, so that no page of another site can be a client of it."""
    routes = [
        Route(f"/{name}", _answered(getattr(desk, name)), methods=[method])
        for method, names in (
            ("GET", ("health", "brief", "vocabulary", "status", "changes")),
            ("POST", ("estimate", "check", "reset", "rehearse", "submit")),
        )
        for name in names
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)])


def _answered(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose errors become a status with one sentence and the next step."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadBody as exc:
            return _error(exc.status, str(exc), exc.next_step, 2)
        except ExamError as exc:
            status = next((code for kind, code in STATUS.items() if isinstance(exc, kind)), 500)
            return _error(status, plain(str(exc), SENTENCE), exc.next_step, exc.exit_code)

    return answer


def _error(status: int, sentence: str, next_step: str, exit_code: int) -> Response:
    content: Mapping[str, Any] = {"error": sentence, "next_step": next_step, "exit_code": exit_code}
    return JSONResponse(content, status)


def _check(name: str, ok: bool | None, sentence: str) -> dict[str, Any]:
    return {"check": name, "ok": ok, "sentence": plain(sentence, SENTENCE)}
