"""Agents: AI and service accounts with rights of their own, each answered for by a person. SQL.

An agent has tokens and no other way in; what it does is marked as an agent's in timelines and in the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from api.accounts.records import Act, By, write
from api.errors import LoginTaken
from core.errors import NotFound

AGENT = """a.user_id, a.login, a.name, m.role, o.login as owner, a.disabled_at is not null as disabled, a.created_at,
  (select count(*) from sessions s where s.user_id = a.user_id and s.kind = 'token' and s.revoked_at is null
     and (s.expires_at is null or s.expires_at > now())) as tokens,
  (select max(s.used_at) from sessions s where s.user_id = a.user_id and s.kind = 'token') as used_at"""


@dataclass(frozen=True, slots=True)
class Agent:
    user_id: int
    login: str
    name: str
    role: str
    owner: str | None
    disabled: bool
    created_at: datetime
    tokens: int
    used_at: datetime | None


def listed(conn: Connection) -> list[Agent]:
    """The current site's agents, by login."""
    with conn.cursor(row_factory=class_row(Agent)) as cursor:
        return cursor.execute(
            f"""select {AGENT} from users a join memberships m using (user_id)
                left join users o on o.user_id = a.owner_id
                where a.kind = 'agent' and m.site_id = current_site() order by a.login"""  # noqa: S608 - constant
        ).fetchall()


def one(conn: Connection, user_id: int) -> Agent:
    """Raises NotFound."""
    for found in listed(conn):
        if found.user_id == user_id:
            return found
    raise NotFound


def create(conn: Connection, *, login: str, name: str, role: str, by: By) -> int:
    """Make an agent on the current site, answered for by whoever makes it. Raises LoginTaken."""
    row = conn.execute(
        """insert into users (login, name, kind, owner_id) values (%s, %s, 'agent', %s)
           on conflict (login) do nothing returning user_id""",
        (login, name, by.user_id),
    ).fetchone()
    if row is None:
        raise LoginTaken
    conn.execute("insert into memberships (user_id, site_id, role) values (%s, current_site(), %s)", (row[0], role))
    write(conn, Act.AGENT_ADDED, row[0], by=by, detail=f"{login}, {role}")
    return int(row[0])
