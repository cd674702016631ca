"""Errors people can act on: a code, an HTTP status, and a sentence that says what to do."""

from __future__ import annotations

from typing import Any, ClassVar


class MillwrightError(Exception):
    """Something went wrong that has a name.

    A subclass's docstring is its message unless another is given. ``code`` is stable and documented in
    ``docs/errors.md``; ``status`` is the HTTP status; ``extra`` travels in the problem document.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None, **extra: Any) -> None:
        self.message = message or " ".join((self.__doc__ or self.code).split())
        self.extra = extra
        super().__init__(self.message)


class NotFound(MillwrightError):
    """There is no such thing on this site. Check the id, and that you are signed in to the right site."""

    code = "not_found"
    status = 404


class Forbidden(MillwrightError):
    """Your role does not allow this. Ask an administrator of the site."""

    code = "forbidden"
    status = 403


class Invalid(MillwrightError):
    """The input does not fit."""

    code = "invalid"
    status = 422


class Conflict(MillwrightError):
    """Somebody changed this meanwhile. Reload, look at the difference, and try again."""

    code = "conflict"
    status = 409


class Stale(MillwrightError):
    """Somebody changed this meanwhile: If-Match names an old version. Reload and try again."""

    code = "stale"
    status = 412


class IfMatchMissing(MillwrightError):
    """This change needs the header `If-Match` with the ETag of what you saw."""

    code = "if_match_missing"
    status = 428


class Unavailable(MillwrightError):
    """A part that this needs does not answer in time. Try again soon; `millwright doctor` says what is wrong."""

    code = "unavailable"
    status = 503


class ConfigError(MillwrightError):
    """A setting does not fit."""

    code = "config"
    status = 500
