"""What the body of something saved must be, by its kind; what is returned is what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from tickets import reports, views, words
from tickets.saved import Kind
from tickets.views import Viewer

VIEW = {"columns", "filter", "sort", "text"}
MOST_TILES = 24
SIZES = (1, 2, 3)  # columns of a dashboard
CHARTS = ("table", "number", "bar", "line")


def checked(conn: Connection, viewer: Viewer, kind: Kind, body: object) -> dict[str, Any]:
    """Raises InvalidFields with the place and what would be right."""
    if not isinstance(body, Mapping):
        raise words.refuse("body", "The body is an object.", code="type")
    words.plain("body", body)
    if kind is Kind.VIEW:
        return _view(conn, viewer, body)
    if kind is Kind.REPORT:
        reports.check(conn, body)
        return dict(body)
    return _dashboard(conn, body)


def _view(conn: Connection, viewer: Viewer, body: Mapping[str, Any]) -> dict[str, Any]:
    if not set(body) <= VIEW:
        raise words.refuse("body", f"A view has {', '.join(sorted(VIEW))}.", code="type")
    views.ask(conn, viewer, **body)
    return dict(body)


def _dashboard(conn: Connection, body: Mapping[str, Any]) -> dict[str, Any]:
    tiles = body.get("tiles")
    if set(body) != {"tiles"} or not isinstance(tiles, list) or not 1 <= len(tiles) <= MOST_TILES:
        raise words.refuse("body", f"A dashboard has a list of 1 to {MOST_TILES} tiles.", code="type")
    for at, tile in enumerate(tiles):
        _tile(conn, tile, f"body.tiles.{at}")
    return dict(body)


def _tile(conn: Connection, tile: object, place: str) -> None:
    if not isinstance(tile, Mapping) or set(tile) != {"title", "chart", "width", "report"}:
        raise words.refuse(place, "A tile has a title, a chart, a width and a report.", code="type")
    words.text(f"{place}.title", tile["title"], longest=120)
    if tile["chart"] not in CHARTS:
        raise words.refuse(f"{place}.chart", f"A chart is one of {', '.join(CHARTS)}.", code="choice")
    if tile["width"] not in SIZES or isinstance(tile["width"], bool):
        raise words.refuse(f"{place}.width", "A width is 1, 2 or 3.", code="choice")
    reports.check(conn, tile["report"])
