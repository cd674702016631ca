"""Structured logs: text for people, JSON for collectors. Secrets never reach a line."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

SECRET_KEYS = frozenset({"password", "secret", "token", "authorization", "cookie", "dsn", "key"})


def redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank every value whose key names a secret."""
    for key in event:
        if key.lower() in SECRET_KEYS:
            event[key] = "•••"
    return event


class _Stderr(io.TextIOBase):
    """Whatever stderr is at the moment: it may be another one than when a logger was made."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


STDERR = cast("TextIO", _Stderr())


def configure(level: str = "INFO", fmt: str = "text") -> None:
    """Set up logging of this process: one line an event on stderr."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(STDERR),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=STDERR, format="%(levelname)s %(name)s %(message)s")


def get(name: str) -> Any:
    """A logger bound to the room's name."""
    return structlog.get_logger(name).bind(room=name)
