"""SQL of the rows beside tickets, as their timelines keep them (``tickets.held``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection

from tickets.chain import time_text
from tickets.clock_rows import digest
from tickets.held import Row

QUERIES: Mapping[str, LiteralString] = {
    "approvals": """select ticket_id, approval_id::text, key, why, role, user_id, asked_by, own, demanded_by,
        demanded_at, state, decided_by, decided_at, reason from approvals where ticket_id = any(%s)""",
    "cost_lines": """select ticket_id, line_id::text, kind, amount, note, made_by, made_at from cost_lines
        where ticket_id = any(%s)""",
    "ticket_parts": """select l.ticket_id, p.code || '@' || l.store_id, l.reserved, l.consumed, l.amount
        from ticket_parts l join parts p using (part_id) where l.ticket_id = any(%s)""",
    "labour": """select ticket_id, labour_id::text, engineer_id, began_at, minutes, rate, cost, note, client_id,
        made_at, by_name, voided_at from labour where ticket_id = any(%s)""",
    "downtimes": """select ticket_id, downtime_id::text, began_at, ended_at, note, client_id, made_at, by_name,
        voided_at from downtimes where ticket_id = any(%s)""",
    "checklists": """select c.ticket_id, c.code, c.checklist_id, t.revision, c.made_at from checklists c
        left join checklist_templates t using (template_id) where c.ticket_id = any(%s)""",
    "checklist_answers": """select c.ticket_id, a.client_id, c.code as checklist, a.item, a.outcome, a.value, a.note,
        array(select coalesce(encode(f.digest, 'hex'), '') from unnest(a.photos) with ordinality as p (ident, place)
              left join attachments f on f.attachment_id = p.ident order by p.place) as photos,
        a.answered_at, a.kept_at, a.user_id, a.by_name
        from checklist_answers a join checklists c using (checklist_id) where c.ticket_id = any(%s)""",
    "checklist_follow_ups": """select c.ticket_id, c.code || '/' || f.item, f.ticket_id as opened
        from checklist_follow_ups f join checklists c using (checklist_id) where c.ticket_id = any(%s)""",
    "signatures": """select ticket_id, signature_id::text, purpose, name,
        encode(sha256(convert_to(strokes, 'UTF8')), 'hex') as strokes, signed_seq, signed_hash, client_id, signed_at,
        made_at, user_id, by_name from signatures where ticket_id = any(%s)""",
    "attachments": """select ticket_id, attachment_id::text, digest, name, media, bytes, audience, note, taken_at,
        made_at, user_id, by_name from attachments where ticket_id = any(%s)""",
    "sla_clocks": """select ticket_id, kind, calendar_id, calendar_version, target_s, terms, policy_id, policy_version,
        basis, used_s, running_since, due_at, next_at, fired, breached_at, stopped_at, generation, round, breaches
        from sla_clocks where ticket_id = any(%s)""",
    "ticket_links": """select from_id, kind || '>' || to_id, made_at, made_by from ticket_links
        where from_id = any(%s)""",
    "ticket_watchers": "select ticket_id, user_id::text, why, since from ticket_watchers where ticket_id = any(%s)",
    "stock_moves": """select ticket_id, row_number() over (partition by ticket_id order by move_id)::text, kind,
        quantity, store_id, part_id, at, user_id from stock_moves where ticket_id = any(%s)""",
}
AS_KEPT: Mapping[str, Callable[[Any], Any]] = {"terms": digest, "fired": sorted}


def of(conn: Connection, ticket_ids: Sequence[int]) -> dict[int, dict[str, dict[str, Row]]]:
    """Ticket → table → key → column → value; every ticket asked for is a key."""
    found: dict[int, dict[str, dict[str, Row]]] = {ident: {} for ident in ticket_ids}
    for table, query in QUERIES.items():
        cursor = conn.execute(query, (list(ticket_ids),))
        names = [each.name for each in cursor.description or ()][2:]
        for ticket_id, key, *values in cursor:
            row = {name: _plain(name, value) for name, value in zip(names, values, strict=True)}
            found[ticket_id].setdefault(table, {})[key] = row
    return found


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return AS_KEPT[name](value) if name in AS_KEPT and value is not None else value
