"""The ways in: password with its second step, link, passkey, and a sign-in provider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ConfigDict, Field, SecretStr

from api import auth, identity
from api.accounts import door, oidc, passkeys, providers
from api.accounts.door import Step
from api.accounts.records import By
from api.accounts.vault import SealBroken, Vault
from api.deps import router
from api.errors import (
    InviteUsed,
    LinkUsed,
    NotSignedIn,
    PasskeyRefused,
    ProviderRefused,
    StepEnded,
    WrongCode,
    WrongLogin,
)
from api.identity import Kind, Method
from api.limits import Limit
from api.policies import open_to_all
from api.routers.session import Me, shape
from api.shapes import Input, Output, Page
from core.clock import wall_now
from core.database import Database, use_site
from core.errors import MillwrightError
from tickets import engineers

routes = router("session")
OIDC_COOKIE, OIDC_PURPOSE = "millwright_oidc", "oidc begun"
ProviderCode = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Base64Url = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$", max_length=20_000)]
LOCATION: dict[int | str, Any] = {302: {"description": "To the provider, or back to the console."}}


class SignIn(Input):
    login: Annotated[str, Field(min_length=1, max_length=64, examples=["wang.li"])]
    password: Annotated[str, Field(min_length=1, max_length=1024, examples=["correct horse battery"])]


class SecondStep(Input):
    pending: Annotated[str, Field(min_length=1, max_length=200)]
    code: Annotated[str, Field(min_length=1, max_length=40, examples=["123456"])]


class Link(Input):
    token: Annotated[str, Field(min_length=1, max_length=200, examples=["kJ3…"])]


class NewPassword(Input):
    token: Annotated[str, Field(min_length=1, max_length=200, examples=["kJ3…"])]
    password: Annotated[SecretStr, Field(min_length=12, max_length=1024)]


class Answered(Input):
    """What the authenticator answered; binary values in base64url without padding."""

    client_data: Annotated[Base64Url, Field(alias="clientDataJSON")]
    authenticator_data: Annotated[Base64Url, Field(alias="authenticatorData")]
    signature: Base64Url
    user_handle: Annotated[Base64Url, Field(alias="userHandle")]


class PasskeyAnswer(Input):
    id: Base64Url
    raw_id: Annotated[Base64Url, Field(alias="rawId")]
    type: Literal["public-key"]
    response: Answered


class Second(Output):
    """The password was right; the account asks for a code too. ``pending`` goes to `POST /session/second`."""

    pending: str


class SignedIn(Output):
    """Who came in, or that the second step is to come."""

    user: Me | None = None
    second: Second | None = None


class PublicKey(Output):
    """Options for `navigator.credentials`, with binary values in base64url (WebAuthn level 3, JSON)."""

    model_config = ConfigDict(from_attributes=True)

    publicKey: dict[str, Any]  # noqa: N815 - the standard's name


class OnTheDoor(Output):
    code: str
    name: str


@routes.post("/session", dependencies=[open_to_all("signing in comes before an identity")])
def sign_in(request: Request, response: Response, body: SignIn) -> SignedIn:
    """Sign in with login and password; sets the session cookie, or asks for the second step. The same answer for a
    wrong login and password."""
    with _limited(request, body.login.lower(), WrongLogin):
        step = door.by_password(
            _database(request), body.login, body.password, now=wall_now(), source=auth.source(request)
        )
    return _onward(request, response, step)


@routes.post("/session/second", dependencies=[open_to_all("the pending sign-in is the identity")])
def second_step(request: Request, response: Response, body: SecondStep) -> SignedIn:
    """The second step: a code of the app, or a recovery code."""
    with _limited(request, "\nsecond", StepEnded), _limited(request, body.pending, WrongCode):
        step = door.by_code(
            _database(request),
            body.pending,
            body.code,
            vault=_vault(request),
            now=wall_now(),
            source=auth.source(request),
        )
    return _onward(request, response, step)


@routes.post("/session/link", dependencies=[open_to_all("a sign-in link is the identity")])
def sign_in_by_link(request: Request, response: Response, body: Link) -> SignedIn:
    """Sign in with the secret of a single-use link; only from the machine that Millwright runs on."""
    auth.require_loopback(request)
    with _limited(request, "\nlink", LinkUsed), _database(request).tx() as conn:
        step = door.by_link(conn, body.token, now=wall_now(), source=auth.source(request))
    return _onward(request, response, step)


@routes.post(
    "/session/password", status_code=204, dependencies=[open_to_all("an administrator's link is the identity")]
)
def set_password(request: Request, body: NewPassword) -> None:
    """Set a first or forgotten password by an administrator's single-use link; then sign in with it."""
    with _limited(request, "\ninvite", InviteUsed), _database(request).tx() as conn:
        secret = body.password.get_secret_value()
        door.by_invite(conn, body.token, secret, now=wall_now(), source=auth.source(request))


@routes.post("/session/passkey/options", dependencies=[open_to_all("signing in comes before an identity")])
def passkey_options(request: Request) -> PublicKey:
    """What the browser needs to ask for a passkey; it names nobody."""
    party = passkeys.party(auth.origin(request))
    return PublicKey(publicKey=passkeys.request_options(party=party, vault=_vault(request), now=wall_now()))


@routes.post("/session/passkey", dependencies=[open_to_all("the passkey is the identity")])
def sign_in_by_passkey(request: Request, response: Response, body: PasskeyAnswer) -> SignedIn:
    """Sign in with a passkey; no login is typed."""
    party, now, source = passkeys.party(auth.origin(request)), wall_now(), auth.source(request)
    with _limited(request, "\npasskey", PasskeyRefused), _database(request).tx() as conn:
        user_id = passkeys.owner(conn, body.model_dump(by_alias=True), party=party, vault=_vault(request), now=now)
        step = door.onward(conn, user_id, method=Method.PASSKEY, now=now, source=source)
    return _onward(request, response, step)


@routes.get("/session/providers", dependencies=[open_to_all("the sign-in page shows them")])
def list_doors(request: Request) -> Page[OnTheDoor]:
    """Sign-in providers that one may choose."""
    with _database(request).tx() as conn:
        return Page(items=[OnTheDoor.model_validate(each) for each in providers.on_the_door(conn)])


@routes.get(
    "/session/oidc/{code}",
    status_code=302,
    response_class=RedirectResponse,
    responses=LOCATION,
    dependencies=[open_to_all("signing in comes before an identity")],
)
def to_provider(request: Request, code: ProviderCode) -> Response:
    """Go to a sign-in provider (OpenID Connect, authorization code with PKCE)."""
    try:
        with _database(request).tx() as conn:
            client = providers.client(conn, providers.named(conn, code), vault=_vault(request))
        address, begun = oidc.begin(
            request.app.state.providers, client, code=code, callback=_callback(request, code), now=wall_now()
        )
    except MillwrightError as error:
        return _to_door(error)
    response = RedirectResponse(address, 302)
    _set_begun(request, response, _vault(request).seal(json.dumps(begun.as_dict()), purpose=OIDC_PURPOSE).hex())
    return response


@routes.get(
    "/session/oidc/{code}/callback",
    status_code=302,
    response_class=RedirectResponse,
    responses=LOCATION,
    dependencies=[open_to_all("the provider's answer is the identity")],
)
def from_provider(
    request: Request,
    code: ProviderCode,
    state: Annotated[str, Query(max_length=500)] = "",
    answer: Annotated[str, Query(alias="code", max_length=4000)] = "",
    error: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Back from a sign-in provider: checks the answer, signs in, and goes to the console."""
    try:
        with _limited(request, "\nprovider", ProviderRefused):
            step = _provided(request, code, state=state, answer="" if error else answer)
    except MillwrightError as refused:
        return _to_door(refused)
    if step.kind is Kind.PENDING:
        response = RedirectResponse(f"/#/door/second/{step.secret}", 302)
    else:
        response = RedirectResponse("/#/", 302)
        auth.set_cookie(request, response, step.secret)
    _set_begun(request, response, "")
    return response


def _provided(request: Request, code: str, *, state: str, answer: str) -> Step:
    begun = _begun(request)
    if begun.provider != code or not answer:
        raise ProviderRefused
    now, source = wall_now(), auth.source(request)
    with _database(request).tx() as conn:
        provider = providers.named(conn, code)
        client = providers.client(conn, provider, vault=_vault(request))
    if not provider.enabled:
        raise ProviderRefused
    claims = oidc.finish(
        request.app.state.providers,
        client,
        begun,
        state=state,
        code=answer,
        callback=_callback(request, code),
        now=now,
    )
    method = Method.PROVIDER_TRUSTED if provider.second == "trusted" else Method.PROVIDER
    with _database(request).tx() as conn:
        by = By(None, "system", provider.name, source.address)
        user_id = providers.let_in(conn, provider, claims, now=now, by=by)
        return door.onward(conn, user_id, method=method, now=now, source=source)


def _begun(request: Request) -> oidc.Begun:
    """The sign-in that this browser began. Raises ProviderRefused."""
    try:
        sealed = bytes.fromhex(request.cookies.get(auth.cookie_name(request, OIDC_COOKIE), ""))
        return oidc.Begun(**json.loads(_vault(request).opened(sealed, purpose=OIDC_PURPOSE)))
    except (SealBroken, ValueError, TypeError) as error:
        raise ProviderRefused from error


def _set_begun(request: Request, response: Response, value: str) -> None:
    """The browser keeps what it began; nothing when the value is empty."""
    response.set_cookie(
        auth.cookie_name(request, OIDC_COOKIE),
        value,
        max_age=int(oidc.BEGUN_LIFE.total_seconds()) if value else 0,
        httponly=True,
        samesite="lax",  # the way back begins at the provider
        secure=auth.origin(request).startswith("https"),
        path="/api/v1/session/oidc",
    )


def _callback(request: Request, code: str) -> str:
    return f"{auth.origin(request)}/api/v1/session/oidc/{code}/callback"


def _to_door(error: MillwrightError) -> Response:
    """The console says what went wrong, in the reader's language."""
    return RedirectResponse(f"/#/door/refused/{error.code}", 302)


@contextmanager
def _limited(request: Request, what: str, failure: type[Exception]) -> Iterator[None]:
    """Failures of one address are limited, with one login and in all; the login's own lock is in the database."""
    own: Limit = request.app.state.sign_in_limit
    whole: Limit = request.app.state.address_limit
    host = auth.client_host(request)
    with whole.counting(host, failure), own.counting(f"{host} {what}", failure):
        yield


def _onward(request: Request, response: Response, step: Step) -> SignedIn:
    if step.kind is Kind.PENDING:
        return SignedIn(second=Second(pending=step.secret))
    with _database(request).tx() as conn:
        person = identity.who(conn, step.secret, kind=Kind.SESSION, now=wall_now())
        if person is None:
            raise NotSignedIn
        site = person.site(None)
        use_site(conn, site.site_id)
        user = shape(conn, person, site, engineers.of_user(conn, person.user_id))
    auth.set_cookie(request, response, step.secret)
    return SignedIn(user=user)


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _vault(request: Request) -> Vault:
    vault: Vault = request.app.state.vault
    return vault
