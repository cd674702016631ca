"""One error shape: RFC 9457 problem details, whatever went wrong and wherever.

``type`` is ``urn:millwright:error:CODE``; the codes have headings in ``docs/errors.md``. ``instance`` names the request
and stands in the log, which knows more than the answer tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from psycopg import errors as pg
from psycopg_pool import PoolTimeout, TooManyRequests
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from core import log
from core.errors import Conflict, Forbidden, Invalid, MillwrightError, Unavailable

REQUEST_ID = "millwright.request_id"
MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 50
RETRY_AFTER_S = 2

logger = log.get("api")


class Unexpected(MillwrightError):
    """Something went wrong on our side. The log of the server tells more under this instance."""

    code = "unexpected"


class HttpRefused(MillwrightError):
    """The request cannot be served."""

    code = "http"


class InvalidRequest(Invalid):
    """Some fields of the request do not fit."""

    code = "invalid_request"


def respond(
    error: MillwrightError, scope: Scope, headers: Mapping[str, str] | None = None, *, code: str | None = None
) -> Response:
    """The problem document of an error of ours, under another ``code`` if one is given."""
    told = document(error, request_id=scope.get(REQUEST_ID, "-"), code=code)
    status, all_headers = told["status"], dict(headers or {})
    wait_s = told.pop("retry_after_s", RETRY_AFTER_S if status == 503 else None)
    if wait_s is not None:
        all_headers["retry-after"] = str(wait_s)
    if status == 401:
        all_headers["www-authenticate"] = "Bearer"
    return Response(to_json(told, inf_nan_mode="null"), status, all_headers, media_type=MEDIA_TYPE)


def document(error: MillwrightError, *, request_id: str = "-", code: str | None = None) -> dict[str, Any]:
    """RFC 9457 members of an error of ours; ``retry_after_s`` among them belongs into a header."""
    code = code or error.code
    status = int(error.extra.get("status", error.status))
    return {
        "type": f"urn:millwright:error:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "code": code,
        "instance": f"urn:millwright:request:{request_id}",
        **{name: value for name, value in error.extra.items() if name != "status"},
    }


def install(app: FastAPI) -> None:
    """Answer every kind of error with a problem document."""
    app.add_exception_handler(MillwrightError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(psycopg.Error, _database)
    app.add_exception_handler(PoolTimeout, _database)
    app.add_exception_handler(TooManyRequests, _database)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, MillwrightError)  # noqa: S101 - registered for these alone
    if error.status >= 500:
        logger.warning("refused", code=error.code, message=error.message)
    return respond(error, request.scope)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return respond(InvalidRequest(errors=field_errors(error.errors())), request.scope)


def field_errors(found: Sequence[Any]) -> list[dict[str, Any]]:
    """Where, what and which rule, without an echo of what was sent."""
    return [
        {"loc": [_shown(part) for part in each["loc"]], "message": each["msg"], "code": each["type"]}
        for each in found[:MOST_ERRORS]
    ]


def _shown(part: Any) -> Any:
    return part[:64] if isinstance(part, str) else part


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = {404: "no_such_route", 405: "method_not_allowed", 413: "body_too_large"}.get(error.status_code)
    return respond(HttpRefused(error.detail, status=error.status_code), request.scope, error.headers, code=code)


async def _database(request: Request, error: Exception) -> Response:
    known = of_database(error)
    say = logger.error if known.status == 500 else logger.warning
    say("database", code=known.code, error=type(error).__name__, message=str(error).partition("\n")[0])
    return respond(known, request.scope)


def of_database(error: Exception) -> MillwrightError:
    """What a database error means to the caller; anything unknown is our fault."""
    for kinds, answer in MEANINGS:
        if isinstance(error, kinds):
            return answer
    return Unexpected()


BUSY = Unavailable("The database is busy with a conflicting change. Try again.")
AWAY = Unavailable("The database does not answer in time. Try again soon.")
MEANINGS: tuple[tuple[tuple[type[Exception], ...], MillwrightError], ...] = (
    ((pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable), BUSY),
    ((pg.QueryCanceled, PoolTimeout, TooManyRequests, pg.DiskFull, pg.TooManyConnections), AWAY),
    ((pg.UniqueViolation, pg.ExclusionViolation), Conflict("There is already one like this.")),
    ((pg.ForeignKeyViolation,), Invalid("The input names something that does not exist on this site.")),
    ((pg.IntegrityError,), Invalid("The input breaks a rule of the data.")),
    ((pg.InsufficientPrivilege,), Forbidden()),
    ((psycopg.DataError,), Invalid("A value does not fit: too large, or with characters that no field may hold.")),
    ((psycopg.OperationalError, psycopg.InterfaceError), AWAY),
)
