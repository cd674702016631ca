"""A guide drafted from closed orders: what was checked, found, replaced and written, each step with its source.

Only repairs that telemetry verified are read. The draft is for a person to edit and publish; nothing publishes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection

from core.errors import Conflict
from tickets import checklist_store
from tickets.checklist import Item
from tickets.knowledge import articles, similar
from tickets.knowledge.content import MOST_SOURCES, MOST_STEPS
from tickets.knowledge.revisions import Origin
from tickets.knowledge.similar import Past
from tickets.knowledge.store import Article
from tickets.model import Actor

MOST_ORDERS = 30
MOST_SAYINGS = 15
LONGEST_SAYING = 600


class NothingToDraft(Conflict):
    """No closed order of this asset class and mode was verified by its machine yet."""

    code = "nothing_to_draft"


@dataclass(slots=True)
class _Line:
    """A checklist's line with the orders that it was answered on."""

    item: Item
    refs: list[str] = field(default_factory=list)


def draft(conn: Connection, actor: Actor, *, asset_class: str, mode: str, now: datetime) -> Article:
    """A draft guide for this class and mode. Raises NothingToDraft, InvalidFields."""
    found = similar.closed(conn, asset_class=asset_class, mode=mode, most=MOST_ORDERS)
    if not found:
        raise NothingToDraft(
            f"No closed order of {asset_class} with {mode} was verified by its machine yet; nothing to draft from."
        )
    note = f"{len(found)} verified orders"
    return articles.make(
        conn, actor, code=_free_code(conn, asset_class, mode), given=_content(conn, found, asset_class, mode),
        origin=Origin.ORDERS, note=note, now=now,
    )  # fmt: skip


def _free_code(conn: Connection, asset_class: str, mode: str) -> str:
    stem = f"{asset_class}-{mode}".lower().replace("_", "-").replace(":", "-")[:50] + "-orders"
    rows = conn.execute("select code from articles where code like %s", (f"{stem}%",))
    taken = {row[0] for row in rows}
    return next(code for at in range(1, len(taken) + 2) if (code := stem if at == 1 else f"{stem}-{at}") not in taken)


def _content(conn: Connection, found: list[Past], asset_class: str, mode: str) -> dict[str, Any]:
    steps = [_step(each) for each in _lines(conn, found)]
    return {
        "classes": [asset_class],
        "modes": [mode],
        "title": {
            "en": f"{asset_class}: {mode.replace('_', ' ')}, as repaired here",
            "zh": f"{asset_class}：{mode} 本厂维修经验",
        },
        "body": {"en": _body(conn, found, "en"), "zh": _body(conn, found, "zh")},
        "steps": steps[:MOST_STEPS],
    }  # fmt: skip


def _lines(conn: Connection, found: Iterable[Past]) -> list[_Line]:
    """The lines that were answered, in the order of their lists, those of the newest list first."""
    lines: dict[str, _Line] = {}
    for past in found:
        for listed in checklist_store.of_ticket(conn, past.ticket_id):
            for item in listed.template.checklist.items:
                if item.code in listed.answers:
                    lines.setdefault(f"{listed.template.code}/{item.code}", _Line(item)).refs.append(past.ref)
    return list(lines.values())


def _step(line: _Line) -> dict[str, Any]:
    item = line.item
    return {
        "text": dict(item.text), "unit": item.unit, "low": item.low, "high": item.high,
        "sources": line.refs[:MOST_SOURCES],
    }  # fmt: skip


HEADINGS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "from": "Drafted from verified repairs",
        "found": "What was found",
        "parts": "Parts",
        "said": "What was written",
    },
    "zh": {"from": "根据已验证的维修整理", "found": "发现的原因", "parts": "备件", "said": "维修记录"},
}


def _body(conn: Connection, found: list[Past], language: str) -> str:
    words = HEADINGS[language]
    sections = [
        (words["from"], [", ".join(each.ref for each in found)]),
        (words["found"], _counted(_causes(each) for each in found)),
        (words["parts"], _parts(found)),
        (words["said"], _sayings(conn, found)),
    ]
    return "\n\n".join("\n".join([f"## {head}", "", *_bullets(lines)]) for head, lines in sections if lines)


def _bullets(lines: list[str]) -> list[str]:
    return [f"- {each}" for each in lines]


def _causes(past: Past) -> tuple[str, str]:
    return ", ".join(each for each in (past.failure_code, past.mechanism, past.cause) if each), past.ref


def _counted(pairs: Iterable[tuple[str, str]]) -> list[str]:
    refs: dict[str, list[str]] = {}
    for text, ref in pairs:
        if text:
            refs.setdefault(text, []).append(ref)
    ranked = sorted(refs.items(), key=lambda each: (-len(each[1]), each[0]))
    return [f"{text} × {len(of)} ({', '.join(of[:5])})" for text, of in ranked]


def _parts(found: list[Past]) -> list[str]:
    counts: Counter[tuple[str, str, str]] = Counter()
    refs: dict[str, list[str]] = {}
    for past in found:
        for part in past.parts:
            counts[part.code, part.name, part.unit] += part.quantity  # type: ignore[assignment]
            refs.setdefault(part.code, []).append(past.ref)
    return [
        f"{code} {name}: {total / len(refs[code]):g} {unit} ({', '.join(refs[code][:5])})"
        for (code, name, unit), total in counts.most_common()
    ]


def _sayings(conn: Connection, found: list[Past]) -> list[str]:
    """What engineers wrote at *done* and in comments, one line each, with its order."""
    notes = [(past.ref, past.note) for past in found if past.note]
    rows = conn.execute(
        """select t.ref, e.body->>'text' from ticket_events e join tickets t using (ticket_id)
           where e.ticket_id = any(%s) and e.kind = 'comment' and e.actor_kind = 'person'
           order by e.ticket_id desc, e.seq""",
        ([past.ticket_id for past in found],),
    ).fetchall()
    return [f"{' '.join(text.split())[:LONGEST_SAYING]} ({ref})" for ref, text in [*notes, *rows][:MOST_SAYINGS]]
