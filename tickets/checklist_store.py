"""SQL of checklists: templates with revisions, lists on orders, answers. Knows no verbs, so that they may ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import Conflict
from tickets import checklist, marks, verbs
from tickets.checklist import Checklist, Judged, Outcome
from tickets.model import Actor, Text, Ticket
from tickets.rows import one


class ChecklistOpen(Conflict):
    """The order's checklist has lines that must be answered first."""

    code = "checklist_open"


@dataclass(frozen=True, slots=True)
class Template:
    """A revision of a checklist for (asset class, mode, kind); '' = any."""

    template_id: int
    code: str
    revision: int
    asset_class: str
    mode: str
    kind: str
    state: str  # active or retired
    shipped: bool
    made_at: datetime
    by_name: str
    checklist: Checklist

    @property
    def scope(self) -> tuple[str, str, str]:
        return self.asset_class, self.mode, self.kind


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; of those of a line the newest by device time counts."""

    answer_id: int
    item: str
    judged: Judged
    photos: tuple[int, ...]
    client_id: str
    answered_at: datetime
    kept_at: datetime
    by_name: str


@dataclass(frozen=True, slots=True)
class OnOrder:
    """A checklist on an order, with the answers that count and the tickets that failed lines opened."""

    checklist_id: int
    ticket_id: int
    template: Template
    answers: Mapping[str, Answer]
    follow_ups: Mapping[str, int]

    @property
    def judged(self) -> dict[str, Judged]:
        return {code: each.judged for code, each in self.answers.items()}


TEMPLATE: LiteralString = """
  select t.template_id, t.code, t.revision, t.asset_class, t.mode, t.kind, t.state, t.shipped, t.made_at, t.by_name,
    t.title, t.items """
NEWEST: LiteralString = """ not exists (select 1 from checklist_templates n
  where n.code = t.code and n.revision > t.revision) """


def refuse_unanswered(conn: Connection, ticket: Ticket) -> None:
    """Raises ChecklistOpen with every mandatory line that has no answer, or no photo."""
    lacking = [
        (each.template.checklist.title, line)
        for each in of_ticket(conn, ticket.ticket_id)
        for line in checklist.lacking(each.template.checklist, each.judged)
    ]
    if lacking:
        raise ChecklistOpen(
            f"{ticket.ref} is not done yet: " + "; ".join(_lack(line, "en") for _, line in lacking) + ".",
            sentence={
                "en": "Still open: " + "; ".join(_lack(line, "en") for _, line in lacking) + ".",
                "zh": "检查表尚未完成：" + "；".join(_lack(line, "zh") for _, line in lacking) + "。",
            },
            errors=[
                {"field": line.item.code, "code": "required", "detail": f"{title['en']}: {_lack(line, 'en')}."}
                for title, line in lacking
            ],
        )


def _lack(line: checklist.Standing, language: str) -> str:
    lacks: Text = line.lacks or {}
    return f"{line.item.text[language]} ({lacks.get(language, '')})"


# -- templates --------------------------------------------------------------------------------------------------------


def templates(conn: Connection) -> list[Template]:
    """The newest revision of every checklist of the site, by code."""
    rows = conn.execute(TEMPLATE + "from checklist_templates t where" + NEWEST + "order by t.code")
    return [_template(row) for row in rows]


def template(conn: Connection, template_id: int) -> Template:
    """One revision; raises NotFound."""
    missing = f"There is no checklist {template_id} on this site."
    query: LiteralString = TEMPLATE + "from checklist_templates t where t.template_id = %s"
    return _template(one(conn, query, (template_id,), missing=missing))


def newest(conn: Connection, code: str) -> Template | None:
    """The newest revision of a checklist."""
    row = conn.execute(
        TEMPLATE + "from checklist_templates t where t.code = %s order by t.revision desc limit 1", (code,)
    ).fetchone()
    return _template(row) if row else None


def lock(conn: Connection, code: str) -> Template | None:
    """The newest revision; nobody else publishes one of this code until the transaction ends."""
    conn.execute(
        "select pg_advisory_xact_lock(hashtextextended('checklist ' || current_site() || ' ' || %s, 0))", (code,)
    )
    return newest(conn, code)


def add_template(
    conn: Connection,
    *,
    code: str,
    revision: int,
    scope: tuple[str, str, str],
    made: Checklist,
    state: str,
    shipped: bool,
    by_name: str,
    now: datetime,
) -> int:
    """A new revision; returns its id. ``scope``: asset class, mode, kind."""
    (template_id,) = one(
        conn,
        """insert into checklist_templates (code, revision, asset_class, mode, kind, title, items, state, shipped,
             made_at, by_name) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning template_id""",
        (code, revision, *scope, *_json(made), state, shipped, now, by_name),
    )
    return int(template_id)


def _json(made: Checklist) -> tuple[Jsonb, Jsonb]:
    return Jsonb(dict(made.title)), Jsonb(checklist.as_json(made.items))


def fitting(conn: Connection, ticket: Ticket) -> list[Template]:
    """The active checklists for an order: by its asset's class, its mode and its kind."""
    found = [
        each
        for each in marks.kept(conn, "checklists", lambda: tuple(templates(conn)))
        if each.state == "active" and each.kind in ("", ticket.kind) and each.mode in ("", ticket.mode or "")
    ]
    if all(not each.asset_class for each in found) or ticket.asset_id is None:
        return [each for each in found if not each.asset_class]
    known = class_of(conn, ticket.asset_id)
    return [each for each in found if each.asset_class in ("", known)]


def class_known(conn: Connection, asset_id: int, asset_class: str | None) -> None:
    """The class of an asset was read along with something else; it need not be asked for in the same verb."""
    verbs.memory(conn)["asset_class", asset_id] = asset_class


def class_of(conn: Connection, asset_id: int) -> str | None:
    """The class of an asset, looked up once a verb where it was told."""
    memory = verbs.memory(conn)
    if ("asset_class", asset_id) in memory:
        known: str | None = memory["asset_class", asset_id]
        return known
    row = conn.execute("select class from assets where asset_id = %s", (asset_id,)).fetchone()
    return row[0] if row else None


# -- on orders --------------------------------------------------------------------------------------------------------


def fix(conn: Connection, ticket_id: int, chosen: Template, *, now: datetime) -> int | None:
    """Put a checklist at this revision on an order; returns its id, None when it is there already."""
    row = conn.execute(
        """insert into checklists (ticket_id, template_id, code, made_at) values (%s, %s, %s, %s)
           on conflict do nothing returning checklist_id""",
        (ticket_id, chosen.template_id, chosen.code, now),
    ).fetchone()
    return int(row[0]) if row else None


def of_ticket(conn: Connection, ticket_id: int) -> list[OnOrder]:
    """The checklists on an order, as they were put on it."""
    rows = conn.execute(
        TEMPLATE
        + """, c.checklist_id from checklists c join checklist_templates t using (template_id)
             where c.ticket_id = %s order by c.checklist_id""",
        (ticket_id,),
    ).fetchall()
    ids = [row[-1] for row in rows]
    answers, opened = (_answers(conn, ids), _follow_ups(conn, ids)) if ids else ({}, {})
    return [
        OnOrder(row[-1], ticket_id, _template(row[:-1]), answers.get(row[-1], {}), opened.get(row[-1], {}))
        for row in rows
    ]


def ticket_of(conn: Connection, checklist_id: int) -> int:
    """The order that a checklist is on; raises NotFound."""
    missing = f"There is no checklist {checklist_id} on an order of this site."
    query = "select ticket_id from checklists where checklist_id = %s"
    return int(one(conn, query, (checklist_id,), missing=missing)[0])


def answered(conn: Connection, client_id: str) -> tuple[int, str] | None:
    """(checklist, line) of the answer that the device called so."""
    row = conn.execute("select checklist_id, item from checklist_answers where client_id = %s", (client_id,)).fetchone()
    return (int(row[0]), str(row[1])) if row else None


def add_answer(
    conn: Connection,
    actor: Actor,
    checklist_id: int,
    *,
    item: str,
    judged: Judged,
    photos: Sequence[int],
    client_id: str,
    answered_at: datetime,
    now: datetime,
) -> None:
    """Keep an answer."""
    conn.execute(
        """insert into checklist_answers (checklist_id, item, outcome, value, note, photos, client_id, answered_at,
             kept_at, user_id, by_name) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            checklist_id,
            item,
            judged.outcome,
            None if judged.value is None else Jsonb(judged.value),
            judged.note,
            list(photos),
            client_id,
            answered_at,
            now,
            actor.actor_id,
            actor.name,
        ),
    )


def add_follow_up(conn: Connection, checklist_id: int, item: str, ticket_id: int) -> None:
    """Remember the ticket that a failed line opened."""
    conn.execute(
        "insert into checklist_follow_ups (checklist_id, item, ticket_id) values (%s, %s, %s)",
        (checklist_id, item, ticket_id),
    )


def _answers(conn: Connection, ids: Sequence[int]) -> dict[int, dict[str, Answer]]:
    rows = conn.execute(
        """select distinct on (checklist_id, item) checklist_id, answer_id, item, outcome, value, note, photos,
             client_id, answered_at, kept_at, by_name
           from checklist_answers where checklist_id = any(%s)
           order by checklist_id, item, answered_at desc, answer_id desc""",
        (list(ids),),
    )
    found: dict[int, dict[str, Answer]] = {}
    for ident, answer_id, item, outcome, value, note, photos, *rest in rows:
        judged = Judged(Outcome(outcome), value, note, len(photos))
        found.setdefault(ident, {})[item] = Answer(answer_id, item, judged, tuple(photos), *rest)
    return found


def _follow_ups(conn: Connection, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    rows = conn.execute(
        "select checklist_id, item, ticket_id from checklist_follow_ups where checklist_id = any(%s)", (list(ids),)
    )
    found: dict[int, dict[str, int]] = {}
    for ident, item, ticket_id in rows:
        found.setdefault(ident, {})[item] = ticket_id
    return found


def _template(row: tuple[Any, ...]) -> Template:
    *facts, title, items = row
    values: dict[str, Any] = dict(zip(Template.__slots__, [*facts, checklist.parse(title, items)], strict=True))
    return Template(**values)
