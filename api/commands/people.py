"""Verbs for who may come in: people, sign-in links, tokens."""

from __future__ import annotations

import argparse
import getpass
import re
import sys
from datetime import timedelta

from psycopg import Connection

from api import identity, members
from api.accounts import scopes
from api.commands.parts import instance_of, say
from api.instance import Instance
from api.policies import ROLES
from core import clock
from core.database import use_site
from core.errors import Invalid, NotFound
from core.settings import settings
from tickets import engineers

LINK_MINUTES = 15
LOGIN = re.compile(r"[a-z0-9._@-]{1,64}")


def user(argv: list[str]) -> int:
    """Add a person, set a password, or list people."""
    parser = argparse.ArgumentParser(prog="millwright user", description="People who may sign in.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="add a person; prints a sign-in link")
    add.add_argument("login")
    add.add_argument("--name", help="name shown to others (default: the login)")
    add.add_argument("--role", choices=sorted(ROLES), default="requester")
    add.add_argument("--locale", choices=("en", "zh"), default="en")
    add.add_argument("--site", help="site code (default: the first site)")
    add.add_argument("--skill", action="append", default=[], metavar="SKILL=LEVEL", help="of an engineer; repeatable")
    password = verbs.add_parser("password", help="set a password; asks for it, or reads one line from standard input")
    password.add_argument("login")
    verbs.add_parser("list", help="list people and their roles")
    arguments = parser.parse_args(argv)
    instance = instance_of(settings())
    {"add": _add, "password": _password, "list": _list}[arguments.verb](instance, arguments)
    return 0


def _add(instance: Instance, arguments: argparse.Namespace) -> None:
    if not LOGIN.fullmatch(arguments.login):
        raise Invalid("A login is 1 to 64 of a–z, 0–9, and . _ @ -")
    name = arguments.name or arguments.login
    with instance.database.tx() as conn:
        site_id = site_of(conn, arguments.site)
        user_id = identity.create_user(
            conn, login=arguments.login, name=name, role=arguments.role, site_id=site_id, locale=arguments.locale
        )
        if arguments.role == "engineer":  # somebody whom orders can be given to
            use_site(conn, site_id)
            engineers.create(conn, name=name, skills=_skills(arguments.skill), user_id=user_id)
        secret = identity.create_link(conn, arguments.login, now=clock.wall_now())
    say(f"{arguments.login} may sign in as {arguments.role}: {link_sentence(address_of(instance), secret)}")


def _skills(texts: list[str]) -> dict[str, int]:
    """``mechanical=3`` … → skill → level. Raises Invalid."""
    found = {}
    for text in texts:
        skill, _, level = text.partition("=")
        if not skill or level not in ("1", "2", "3"):
            raise Invalid(f"--skill {text!r}: give it as SKILL=LEVEL with a level of 1, 2 or 3.")
        found[skill] = int(level)
    return found


def _password(instance: Instance, arguments: argparse.Namespace) -> None:
    entered = getpass.getpass("New password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not entered.isprintable():
        raise Invalid("A password is printable text in UTF-8.")
    with instance.database.tx() as conn:
        identity.set_password(conn, arguments.login, entered)
    say(f"the password of {arguments.login} is set; older sessions have ended")


def _list(instance: Instance, _arguments: argparse.Namespace) -> None:
    with instance.database.tx() as conn:
        rows = conn.execute(
            """select u.login, u.name, s.code, m.role, u.disabled_at is not null from users u
               left join memberships m using (user_id) left join sites s using (site_id) order by 1, 3"""
        ).fetchall()
    for login, name, site, role, disabled in rows:
        print(f"{login:<20} {site or '-':<12} {role or '-':<10} {name}{'   (disabled)' if disabled else ''}")


def link(argv: list[str]) -> int:
    """Print a sign-in link of a person."""
    parser = argparse.ArgumentParser(prog="millwright link", description="A sign-in link: once, 15 minutes.")
    parser.add_argument("login", nargs="?", default="admin")
    arguments = parser.parse_args(argv)
    instance = instance_of(settings())
    with instance.database.tx() as conn:
        secret = identity.create_link(conn, arguments.login, now=clock.wall_now())
    print(link_sentence(address_of(instance), secret))
    return 0


def token(argv: list[str]) -> int:
    """Make an API token; it is shown once."""
    parser = argparse.ArgumentParser(prog="millwright token", description="An API token of a person or agent.")
    parser.add_argument("login")
    parser.add_argument("--name", default="command line", help="what it is for")
    parser.add_argument("--days", type=int, help="valid for so many days (default: until revoked)")
    parser.add_argument(
        "--scope",
        action="append",
        metavar="SCOPE",
        help="good for this alone, like ticket.read, ticket.*, *.read; repeatable",
    )
    arguments = parser.parse_args(argv)
    instance = instance_of(settings())
    now = clock.wall_now()
    until = now + timedelta(days=arguments.days) if arguments.days else None
    with instance.database.tx() as conn:
        chosen = _scopes(conn, arguments.login, arguments.scope)
        print(
            identity.create_token(conn, arguments.login, name=arguments.name, now=now, expires_at=until, scopes=chosen)
        )
    return 0


def _scopes(conn: Connection, login: str, wanted: list[str] | None) -> list[str] | None:
    """The scopes of a token, if its owner has such rights on any site; None = all. Raises BadScope."""
    if not wanted:
        return None
    user_id = identity.user_named(conn, login)
    roles = [row[0] for row in conn.execute("select role from memberships where user_id = %s", (user_id,))]
    return scopes.checked(wanted, lambda action: any(members.may(role, action) for role in roles))


def site_of(conn: Connection, code: str | None) -> int:
    """The site's id; the first one without a code. Raises NotFound."""
    row = conn.execute(
        "select site_id from sites where code = coalesce(%s, code) order by site_id limit 1", (code,)
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no site {code!r}." if code else "There is no site yet: start `millwright up` once.")
    return int(row[0])


def address_of(instance: Instance) -> str:
    """Where the console is."""
    found = instance.endpoints
    return found.address if found else f"http://{instance.settings.host}:{instance.settings.port}"


def link_sentence(address: str, secret: str) -> str:
    """How a sign-in link is shown."""
    until = clock.wall_now() + timedelta(minutes=LINK_MINUTES)
    return f"{address}/#/link/{secret}   (once, until {until:%H:%M} UTC, on this machine only)"
