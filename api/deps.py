"""One request, one transaction: who asks, on which site, with which right. It commits before the answer is sent.

    Guarded route ──> context(): tx ─ who? ─ site ─ right of the matched route ─ idempotency key ──> endpoint
                      commit or rollback <───────────────────────────────────────── answer rendered ┘

FastAPI ends a plain ``yield`` dependency after the answer was sent; ``scope="function"`` ends it before (tested).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header
from fastapi.routing import APIRoute, APIRouter
from psycopg import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api import auth, idempotency, rehearsals
from api.accounts.admit import admit
from api.accounts.records import By
from api.errors import NotSignedIn
from api.gate import Decoded
from api.identity import Person, Site, UserKind, who
from api.policies import Grant, Policy, policy_of
from core.clock import Clock, wall_now
from core.database import Database, use_site
from core.errors import Forbidden, IfMatchMissing, Invalid
from tickets import engineers
from tickets.model import Actor, ActorKind

AGENT = "agent"
VERSION_MOST = 2**31 - 1
IF_ANY = "The ETag of what you saw; nothing for what is new."


@dataclass(frozen=True, slots=True)
class Context:
    """What an endpoint needs to know, and the connection of its transaction."""

    conn: Connection
    person: Person
    site: Site
    role: str
    grant: Grant
    engineer_id: int | None
    clock: Clock
    now: datetime  # plant time
    claim: idempotency.Claim | None
    through: str = ""  # the program that acts for the person

    @property
    def actor(self) -> Actor:
        agent = self.role == AGENT or self.person.kind is UserKind.AGENT or self.through
        kind = ActorKind.AGENT if agent else ActorKind.PERSON
        name = f"{self.person.name} · {self.through}" if self.through else self.person.name
        return Actor(kind, self.person.user_id, name, self.role)

    def by(self, request: Request) -> By:
        """Who this is in the record of what was done to accounts."""
        return By(self.person.user_id, self.person.kind, self.person.name, auth.client_host(request))

    def shows_a_secret(self) -> None:
        """The answer holds a secret: do not keep it for a repeated Idempotency-Key."""
        if self.claim:
            self.claim.secret = True


def context(request: Request) -> Iterator[Context]:
    """The transaction of a request whose route asks for a right. Raises NotSignedIn, CrossSite, Forbidden, NotFound."""
    secret = auth.credential(request)
    database: Database = request.app.state.database
    with database.tx() as conn:
        person = who(conn, secret.secret, kind=secret.kind, now=wall_now())
        if person is None:
            raise NotSignedIn
        with rehearsals.of(conn, request, policy_of(request.scope["route"]).action):
            yield enter(conn, request, person)


def enter(conn: Connection, request: Request, person: Person) -> Context:
    """Put the transaction on the caller's site, if the matched route's policy lets their role in."""
    site = _site(person, request)
    role = person.roles[site.site_id]
    grant = policy_of(request.scope["route"]).grant(role)
    request.state.caller = person.login
    if grant is Grant.NO:
        raise Forbidden
    use_site(conn, site.site_id)
    admit(conn, person, role=role, action=policy_of(request.scope["route"]).action)
    clock: Clock = request.app.state.clock_source(conn)
    request.state.claim = claim = idempotency.claim(conn, request, user_id=person.user_id)
    own = engineers.of_user(conn, person.user_id)
    return Context(conn, person, site, role, grant, own, clock, clock.now(), claim, rehearsals.through(request))


def _site(person: Person, request: Request) -> Site:
    if not person.sites:
        raise Forbidden("You have no role on any site yet. Ask an administrator.")
    return person.site(request.headers.get("x-site") or request.query_params.get("site"))


class Guarded(APIRoute):
    """A route that carries one Policy and enforces it whatever its endpoint asks for. Raises PolicyMissing."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        dependencies = list(options.pop("dependencies", None) or [])
        policies = [each.dependency for each in dependencies if isinstance(each.dependency, Policy)]
        if policies and not policies[0].is_open:
            dependencies.append(Depends(context, scope="function"))
        super().__init__(path, endpoint, dependencies=dependencies, **options)
        policy_of(self)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_and_keep(request: Request) -> Response:
            """After the endpoint the transaction is still open, and the answer is rendered."""
            rehearsals.refuse(request, policy_of(self).action)
            response = await handle(Decoded(request.scope, request.receive))
            claim: idempotency.Claim | None = getattr(request.state, "claim", None)
            if claim:
                await run_in_threadpool(claim.keep, response)
            if rehearsals.asked(request):
                response.headers[rehearsals.HEADER] = "1"
            return response

        return handle_and_keep


def router(tag: str) -> APIRouter:
    """A router of Guarded routes, shown under ``tag``."""
    return APIRouter(tags=[tag], route_class=Guarded)


def if_match(
    if_match: Annotated[str | None, Header(description='The ETag of what you saw: `"<version>"`.')] = None,
) -> int:
    """The version that a change is based on. Raises IfMatchMissing, Invalid."""
    if if_match is None:
        raise IfMatchMissing
    return _version(if_match)


def if_any(
    if_match: Annotated[str | None, Header(description=IF_ANY)] = None,
) -> int | None:
    """The version that a change is based on, if it is based on one. Raises Invalid."""
    return None if if_match is None else _version(if_match)


def _version(if_match: str) -> int:
    text = if_match.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= VERSION_MOST):
        raise Invalid('The If-Match header must be an ETag of ours, like "3".')
    return int(text)


Ctx = Annotated[Context, Depends(context, scope="function")]
Version = Annotated[int, Depends(if_match)]
VersionIfAny = Annotated[int | None, Depends(if_any)]
