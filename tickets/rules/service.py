"""The verbs of rules: make, edit, enable, disable, retire. Each checks who asks, and notes who changed what.

    draft ──dry run──> enabled ⇄ disabled          stopped: by the loop guard; retired: kept for its log
Planners write drafts; what is in force, and every guard, is the managers'.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection

from tickets.chain import time_text
from tickets.errors import NotAllowed
from tickets.model import Actor, ActorKind
from tickets.rules import endless, forms, rehearsal, store
from tickets.rules.errors import BadExpression, BadRule, RuleConflict, RuleWithoutEnd
from tickets.rules.model import Form, Status
from tickets.rules.rehearsal import Report
from tickets.rules.store import Kept

WRITERS = frozenset({"planner", "manager", "admin"})
MANAGERS = frozenset({"manager", "admin"})
MOST_RULES = 1_000
UNREHEARSED = "It was never tried on the recorded history in this version: make a dry run to see what it would do."


def make(
    conn: Connection,
    actor: Actor,
    *,
    code: str,
    form: Form,
    definition: Mapping[str, Any],
    now: datetime,
    note: str = "",
) -> Kept:
    """A new draft. Raises BadRule, BadExpression, RuleWithoutEnd, NotAllowed."""
    _permit(actor, MANAGERS if form is Form.GUARD else WRITERS)
    parsed = forms.parse(code, form, definition)
    _refuse_too_many(conn)
    if store.by_code(conn, code) is not None:
        raise BadRule(f"There is a rule {code!r} already; retired ones keep their name for their log.")
    endless.refuse([parsed])
    return store.get(conn, store.insert(conn, actor, code=code, form=form, definition=definition, now=now, note=note))


def edit(
    conn: Connection,
    actor: Actor,
    rule_id: int,
    *,
    definition: Mapping[str, Any],
    version: int | None = None,
    now: datetime,
    note: str = "",
) -> Kept:
    """Another definition, as a new version; the same one changes nothing. What is enabled stays enabled.

    Raises Stale, BadRule, BadExpression, RuleWithoutEnd, NotAllowed.
    """
    kept = store.lock(conn, rule_id, version=version)
    _permit(actor, _who_changes(kept))
    parsed = forms.parse(kept.code, kept.form, definition)
    if dict(definition) == dict(kept.definition):
        return kept
    endless.refuse([parsed, *_others(conn, kept)])
    status = Status.DRAFT if kept.status in (Status.STOPPED, Status.RETIRED) else kept.status
    store.redefine(conn, actor, kept, definition, status=status, now=now, note=note)
    return store.get(conn, rule_id)


def enable(conn: Connection, actor: Actor, rule_id: int, *, version: int | None = None, now: datetime) -> Kept:
    """Put the rule in force. Raises Stale, BadRule, RuleWithoutEnd, NotAllowed."""
    _permit(actor, MANAGERS)
    kept = store.lock(conn, rule_id, version=version)
    if kept.status is Status.ENABLED:
        return kept
    parsed = forms.parse(kept.code, kept.form, kept.definition)
    endless.refuse([parsed, *_others(conn, kept)])
    store.set_status(conn, actor, kept, Status.ENABLED, now=now)
    return store.get(conn, rule_id)


def disable(conn: Connection, actor: Actor, rule_id: int, *, version: int | None = None, now: datetime) -> Kept:
    """Take the rule out of force; what it has scheduled is cancelled when it falls due. Raises Stale, NotAllowed."""
    return _leave(conn, actor, rule_id, Status.DISABLED, version=version, now=now)


def retire(conn: Connection, actor: Actor, rule_id: int, *, version: int | None = None, now: datetime) -> Kept:
    """Put the rule away; its log stays. Raises Stale, NotAllowed."""
    return _leave(conn, actor, rule_id, Status.RETIRED, version=version, now=now)


def rehearse(conn: Connection, actor: Actor, rule_id: int, *, days: int, now: datetime) -> Report:
    """Dry run of a kept rule; its figures are kept with it. Raises NotAllowed, BadRule, BadExpression."""
    _permit(actor, WRITERS)
    kept = store.lock(conn, rule_id)
    definition = forms.parse(kept.code, kept.form, kept.definition)
    report = rehearsal.rehearse(conn, definition, days=days, now=now)
    figures = report.as_json() | {"version": kept.version, "at": time_text(now)}
    store.keep_rehearsal(conn, actor, kept, figures, now=now)
    return report


def problem(code: str, form: Form, definition: Mapping[str, Any]) -> str | None:
    """Why a definition cannot be used, or None."""
    try:
        endless.refuse([forms.parse(code, form, definition)])
    except (BadRule, BadExpression, RuleWithoutEnd) as error:
        return error.message
    return None


def revive(conn: Connection, actor: Actor, rule_id: int, *, now: datetime) -> Kept:
    """Bring a retired rule back, out of force. Raises NotAllowed."""
    kept = store.lock(conn, rule_id)
    _permit(actor, _who_changes(kept))
    if kept.status is Status.RETIRED:
        store.set_status(conn, actor, kept, Status.DISABLED, now=now)
    return store.get(conn, rule_id)


def warnings(kept: Kept) -> list[str]:
    """What somebody who enables it should know."""
    tried = kept.rehearsed is not None and kept.rehearsed.get("version") == kept.version
    return [] if tried else [UNREHEARSED]


def _leave(conn: Connection, actor: Actor, rule_id: int, status: Status, *, version: int | None, now: datetime) -> Kept:
    kept = store.lock(conn, rule_id, version=version)
    _permit(actor, _who_changes(kept))
    if kept.status is status:
        return kept
    if kept.status is Status.RETIRED:
        raise RuleConflict(f"{kept.code} is retired; edit it to bring it back as a draft.")
    store.set_status(conn, actor, kept, status, now=now)
    return store.get(conn, rule_id)


def _others(conn: Connection, kept: Kept) -> list[Any]:
    return [
        forms.parse(each.code, each.form, each.definition)
        for each in store.every(conn)
        if each.status is Status.ENABLED and each.rule_id != kept.rule_id and each.form is Form.RULE
    ]


def _who_changes(kept: Kept) -> frozenset[str]:
    return MANAGERS if kept.form is Form.GUARD or kept.status is Status.ENABLED else WRITERS


def _permit(actor: Actor, roles: frozenset[str]) -> None:
    """Rules are people's: no rule, agent or machine changes them; the system (its own command line) may."""
    if actor.kind is ActorKind.SYSTEM or (actor.kind is ActorKind.PERSON and actor.role in roles):
        return
    raise NotAllowed(f"Only {', '.join(sorted(roles))} may do this to a rule.")


def _refuse_too_many(conn: Connection) -> None:
    row = conn.execute("select count(*) from rules where status <> 'retired'").fetchone()
    if row and row[0] >= MOST_RULES:
        raise BadRule(f"This site has {MOST_RULES} rules; retire some first.")
