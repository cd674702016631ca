"""What each action does, by the verbs of the ticket core; the answer is what the run log shows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from psycopg import Connection

from core.errors import NotFound
from tickets import approvals, links, notify, service, store, watchers
from tickets.model import Audience, Late, Own
from tickets.notify import NoticeKind
from tickets.rows import one
from tickets.rules import acting, outbox, timers
from tickets.rules.acting import DOERS, Act, Doer

Args = Mapping[str, Any]
CHILD = "child"
MOST_TAGS = 100


def _doer(name: str) -> Callable[[Doer], Doer]:
    def register(function: Doer) -> Doer:
        DOERS[name] = function
        return function

    return register


@_doer("set")
def _set(act: Act, args: Args) -> dict[str, Any]:
    wanted = args["values"]
    changes: dict[str, Any] = {name: value.of(act.world) for name, value in wanted.items() if name != "fields"}
    if "fields" in wanted:
        changes["fields"] = {name: value.of(act.world) for name, value in wanted["fields"].items()}
    service.patch(act.conn, act.actor, act.ticket_id, changes=changes, now=act.now)
    return {"set": changes}


@_doer("move")
def _move(act: Act, args: Args) -> dict[str, Any]:
    given = {name: args[name].plain(act.world) for name in ("reason", "note") if name in args}
    service.transition(act.conn, act.actor, act.ticket_id, to=args["to"], fields=given, now=act.now)
    return {"to": args["to"]}


@_doer("assign")
def _assign(act: Act, args: Args) -> dict[str, Any]:
    name = args.get("engineer")
    engineer_id = None if name is None else _engineer(act.conn, name)
    ticket = service.assign(act.conn, act.actor, act.ticket_id, assignee_id=engineer_id, now=act.now)
    return {"engineer": ticket.assignee_name}


@_doer("notify")
def _notify(act: Act, args: Args) -> dict[str, Any]:
    ticket = store.get(act.conn, act.ticket_id)
    users = {user for who in args["to"] for user in _users(act, who)}
    text = args["text"].render(act.world)
    told = notify.tell(act.conn, users, kind=NoticeKind.RULE, ticket=ticket, key=act.key, extra=text, now=act.now)
    return {"told": told}


@_doer("approve")
def _approve(act: Act, args: Args) -> dict[str, Any]:
    amount = args["amount"].number(act.world) if "amount" in args else None
    text = args["text"].render(act.world) if "text" in args else {"en": args["topic"], "zh": args["topic"]}
    key = f"rule:{args['topic']}" + ("" if amount is None else f":{amount:.2f}")
    approvals.demand(
        act.conn,
        act.ticket_id,
        why=text,
        role=args["role"],
        key=key,
        behind=acting.behind(act.conn, act.chain.root),
        own=args.get("own", Own.REFUSED),
        actor=act.actor,
        now=act.now,
    )
    return {"topic": args["topic"], "role": args["role"], "amount": amount}


@_doer("create")
def _create(act: Act, args: Args) -> dict[str, Any]:
    world = act.world
    opened = service.open(
        act.conn,
        act.actor,
        kind=args["kind"],
        title=args["title"].plain(world)[:300],
        description=args["description"].plain(world) if "description" in args else "",
        asset_id=_asset(act, args.get("asset", "same")),
        mode=args.get("mode"),
        priority=args["priority"].of(world) if "priority" in args else 3,
        skill=args.get("skill"),
        channel="rule",
        fields={name: value.of(world) for name, value in args.get("fields", {}).items()},
        now=act.now,
    )
    _connect(act, opened.ticket.ticket_id, args.get("link"))
    return {"ref": opened.ticket.ref, "created": opened.created}


@_doer("link")
def _link(act: Act, args: Args) -> dict[str, Any]:
    other = store.by_ref(act.conn, args["to"].plain(act.world).strip())
    links.link(act.conn, act.actor, act.ticket_id, kind=args["kind"], to_id=other.ticket_id, now=act.now)
    return {"kind": args["kind"], "to": other.ref}


@_doer("comment")
def _comment(act: Act, args: Args) -> dict[str, Any]:
    audience = args.get("audience", Audience.INTERNAL)
    text = args["text"].plain(act.world)
    service.comment(act.conn, act.actor, act.ticket_id, text=text, audience=audience, now=act.now)
    return {"audience": str(audience)}


@_doer("tag")
def _tag(act: Act, args: Args) -> dict[str, Any]:
    ticket = store.lock(act.conn, act.ticket_id)
    added = [tag for tag in args.get("add", ()) if tag not in ticket.tags]
    removed = [tag for tag in args.get("remove", ()) if tag in ticket.tags]
    if not added and not removed:
        return {}
    tags = (*(tag for tag in ticket.tags if tag not in removed), *added)[:MOST_TAGS]
    details = {"added": added, "removed": removed}
    service.record(
        act.conn, act.actor, act.ticket_id, kind="tagged", details=details, changes={"tags": tags}, late=Late.TAKEN,
        now=act.now,
    )  # fmt: skip
    return details


@_doer("webhook")
def _webhook(act: Act, args: Args) -> dict[str, Any]:
    kind = args.get("type", f"ticket.{act.world.happening.kind}")
    message_id = outbox.put(act.conn, act.rule, act.world, endpoint=args["endpoint"], kind=kind)
    return {"endpoint": args["endpoint"], "message_id": message_id}


@_doer("schedule")
def _schedule(act: Act, args: Args) -> dict[str, Any]:
    due = timers.keep(act, after=args["after"], path=act.path)
    return {"due_at": due.isoformat()}


READY = True  # importing this module fills the table


# -- looking things up ------------------------------------------------------------------------------------------------


def _engineer(conn: Connection, name: str) -> int:
    missing = f"There is no active engineer {name!r} on this site."
    return int(
        one(
            conn,
            "select engineer_id from engineers where name = %s and active order by engineer_id limit 1",
            (name,),
            missing=missing,
        )[0]
    )


def _asset(act: Act, wanted: str) -> int | None:
    if wanted == "none":
        return None
    if wanted == "same":
        found = act.world.look(("ticket", "asset_id"))
        return found if isinstance(found, int) else None
    missing = f"There is no asset {wanted!r} on this site."
    return int(one(act.conn, "select asset_id from assets where code = %s", (wanted,), missing=missing)[0])


def _connect(act: Act, other_id: int, how: str | None) -> None:
    if how is None or other_id == act.ticket_id:
        return
    if how == CHILD:
        links.set_parent(act.conn, act.actor, other_id, parent_id=act.ticket_id, now=act.now)
    else:
        links.link(act.conn, act.actor, other_id, kind=how, to_id=act.ticket_id, now=act.now)


def _users(act: Act, who: str) -> list[int | None]:
    ticket = store.get(act.conn, act.ticket_id)
    if who == "assignee":
        return [ticket.assignee_user_id]
    if who == "requester":
        return [ticket.requester_id]
    if who == "planners":
        return list(notify.planners(act.conn))
    if who == "watchers":
        return [each.user_id for each in watchers.of(act.conn, act.ticket_id)]
    what, _, name = who.partition(":")
    return list(_with_role(act.conn, name)) if what == "role" else [_user(act.conn, name)]


def _with_role(conn: Connection, role: str) -> list[int]:
    rows = conn.execute(
        """select m.user_id from memberships m join users u using (user_id)
           where m.site_id = current_site() and u.disabled_at is null and m.role = %s""",
        (role,),
    )
    return [row[0] for row in rows]


def _user(conn: Connection, login: str) -> int:
    row = conn.execute(
        """select m.user_id from memberships m join users u using (user_id)
           where m.site_id = current_site() and u.login = %s""",
        (login,),
    ).fetchone()
    if row is None:
        raise NotFound(f"There is nobody {login!r} on this site.")
    return int(row[0])
