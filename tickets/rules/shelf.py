"""The rules of the current site as this process keeps them compiled, under the mark that every change renews."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any
from uuid import UUID

from psycopg import Connection

from tickets import marks, verbs
from tickets.rules import forms
from tickets.rules.errors import BadExpression, BadRule
from tickets.rules.matching import Library, library
from tickets.rules.model import Form, Rule, Status

KEPT = 32
NAME = "rules"
EMPTY = library([])
SELECT = "select rule_id, code, form, version, status, definition from rules "

_kept: OrderedDict[UUID, Library] = OrderedDict()
_lock = Lock()


def current(conn: Connection) -> Library:
    """What is in force: asked for once a verb, this transaction's own changes included."""
    memory = verbs.memory(conn)
    if NAME not in memory:
        memory[NAME] = _current(conn)
    found: Library = memory[NAME]
    return found


def changed(conn: Connection) -> None:
    """A rule was changed on this connection."""
    verbs.memory(conn).pop(NAME, None)
    marks.changed(conn)


def _current(conn: Connection) -> Library:
    mark = marks.of(conn).rules
    if mark is None:
        return EMPTY
    with _lock:
        found = _kept.get(mark)
        if found is not None:
            _kept.move_to_end(mark)
            return found
    found = _load(conn)
    with _lock:
        _kept[mark] = found
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return found


def read(row: tuple[Any, ...]) -> Rule:
    """A rule from (rule_id, code, form, version, status, definition). Raises BadRule, BadExpression."""
    rule_id, code, form, version, status, data = row
    return Rule(rule_id, version, Status(status), forms.parse(code, Form(form), data))


def _load(conn: Connection) -> Library:
    rows = conn.execute(SELECT + "where status = 'enabled' order by code").fetchall()
    return library([rule for row in rows if (rule := _readable(row)) is not None])


def _readable(row: tuple[Any, ...]) -> Rule | None:
    """A rule that an older version took and this one does not is left out; a guard is never left out: it refuses."""
    try:
        return read(row)
    except (BadRule, BadExpression):
        if row[2] == Form.GUARD:
            return read((*row[:5], _closed(row[5])))
        return None


def _closed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same guard with a condition that always holds."""
    return {"leaving": data.get("leaving", ["*"]), "entering": data.get("entering", []), "if": "true", "approval": {}}
