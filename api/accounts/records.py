"""The record of what was done to accounts: append-only, one row for each site that the account belongs to. SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection
from psycopg.rows import class_row

LONGEST = 500


class Act(StrEnum):
    """What was done. docs/identity.md says what each means."""

    USER_ADDED = "user_added"
    USER_RENAMED = "user_renamed"
    ROLE_GIVEN = "role_given"
    ROLE_TAKEN = "role_taken"
    USER_DISABLED = "user_disabled"
    USER_ENABLED = "user_enabled"
    PASSWORD_SET = "password_set"  # noqa: S105 - a word, no secret
    INVITE_MADE = "invite_made"
    INVITE_USED = "invite_used"
    LINK_MADE = "link_made"
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    SIGN_IN_FAILED = "sign_in_failed"
    SESSION_ENDED = "session_ended"
    CONFIRMED = "confirmed"
    CODES_ON = "codes_on"
    CODES_OFF = "codes_off"
    RECOVERY_MADE = "recovery_made"
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    SECOND_RESET = "second_reset"
    TOKEN_MADE = "token_made"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    AGENT_ADDED = "agent_added"
    AGENT_CHANGED = "agent_changed"
    PROVIDER_SET = "provider_set"
    PROVIDER_RULES_SET = "provider_rules_set"
    PROVIDER_LINKED = "provider_linked"
    POLICY_SET = "policy_set"


@dataclass(frozen=True, slots=True)
class By:
    """Who did it: a person or agent with the address they came from, or the command line."""

    user_id: int | None
    kind: str
    name: str
    address: str = ""


COMMAND_LINE = By(None, "system", "command line")


@dataclass(frozen=True, slots=True)
class Record:
    event_id: int
    at: datetime
    kind: str
    user_id: int | None
    login: str | None
    actor_kind: str
    actor: str
    detail: str
    address: str


def write(conn: Connection, act: Act, user_id: int, *, by: By = COMMAND_LINE, detail: str = "") -> None:
    """Note an act on an account, on every site that it belongs to."""
    conn.execute(
        """insert into identity_events (site_id, kind, user_id, actor_id, actor_kind, actor, detail, address)
           select m.site_id, %s, m.user_id, %s, %s, %s, %s, %s from memberships m where m.user_id = %s""",
        (act, by.user_id, by.kind, by.name, detail[:LONGEST], by.address[:64], user_id),
    )


def write_here(conn: Connection, act: Act, *, by: By, user_id: int | None = None, detail: str = "") -> None:
    """Note an act on the current site's own settings, or on an account on this site alone."""
    conn.execute(
        """insert into identity_events (site_id, kind, user_id, actor_id, actor_kind, actor, detail, address)
           values (current_site(), %s, %s, %s, %s, %s, %s, %s)""",
        (act, user_id, by.user_id, by.kind, by.name, detail[:LONGEST], by.address[:64]),
    )


def newest(conn: Connection, *, before: int, limit: int, user_id: int | None = None) -> list[Record]:
    """The current site's record, newest first, of one account or of all."""
    with conn.cursor(row_factory=class_row(Record)) as cursor:
        return cursor.execute(
            """select e.event_id, e.at, e.kind, e.user_id, u.login, e.actor_kind, e.actor, e.detail, e.address
               from identity_events e left join users u using (user_id)
               where e.site_id = current_site() and e.event_id < %s
                 and (%s::int is null or e.user_id = %s) order by e.event_id desc limit %s""",
            (before, user_id, user_id, limit),
        ).fetchall()
