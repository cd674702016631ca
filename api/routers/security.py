"""Sign-in and security of one's own account: password, codes, passkeys, sessions, tokens, and what was done to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import Path, Request, Response
from pydantic import Field, SecretStr

from api import auth
from api.accounts import door, mine, passkeys, records, scopes, second
from api.accounts.admit import require_fresh, require_session
from api.accounts.records import Act, write
from api.accounts.vault import Vault
from api.deps import Context, Ctx, router
from api.errors import NoPasskeysHere, WrongCode, WrongLogin
from api.identity import FRESH, SESSION_LIFE, create_token, set_password
from api.limits import Limit
from api.policies import RULES, Grant, Policy, allow
from api.routers.sign_in import Base64Url, PublicKey
from api.shapes import Cursor, Input, Line, Moment, Output, Page, Whole, page, position
from api.shapes import Limit as Most
from core.clock import wall_now
from core.database import Database
from tickets.label_image import matrix

routes = router("security")
MOST_SCOPES = scopes.MOST
OWN = [allow("me.secure")]
Code = Annotated[str, Field(min_length=1, max_length=40, examples=["123456"])]
Ident = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Scope = Annotated[str, Field(pattern=r"^(\*|[a-z_]+\.\*|\*\.[a-z_]+|[a-z_]+\.[a-z_]+)$", max_length=60)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\r\n]*\S[^\r\n]*$")]
NEWEST = 2**53


class Confirm(Input):
    """The password, or a code of the app."""

    password: Annotated[SecretStr | None, Field(max_length=1024)] = None
    code: Code | None = None


class PasswordChange(Input):
    current: Annotated[SecretStr | None, Field(max_length=1024)] = None
    password: Annotated[SecretStr, Field(min_length=12, max_length=1024)]


class CodeGiven(Input):
    code: Code


class Attested(Input):
    client_data: Annotated[Base64Url, Field(alias="clientDataJSON")]
    attestation: Annotated[Base64Url, Field(alias="attestationObject")]


class NewCredential(Input):
    """What `navigator.credentials.create` gave; binary values in base64url without padding."""

    id: Base64Url
    raw_id: Annotated[Base64Url, Field(alias="rawId")]
    type: Literal["public-key"]
    response: Attested


class NewPasskey(Input):
    name: Name
    credential: NewCredential


class OwnToken(Input):
    name: Line
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=scopes.MOST, examples=[["*.read"]])]
    expires_in_days: Annotated[Whole, Field(ge=1, le=365)]


class Security(Output):
    """How one's own account is secured."""

    has_password: bool
    codes_on: bool
    recovery_left: int
    passkeys_here: Annotated[bool, Field(description="Whether passkeys work at this address: not at an IP address.")]
    method: str
    confirm_needed: Annotated[bool, Field(description="A change needs `POST /me/confirm` first.")]


class PasskeyRow(Output):
    passkey_id: str
    name: str
    made_at: Moment
    used_at: Moment | None
    backed_up: bool


class Enrolment(Output):
    """For the authenticator app, shown once. ``qr``: rows of the code's modules, 1 is dark."""

    secret: str
    uri: str
    qr: list[str]


class RecoveryCodes(Output):
    """Each works once in the place of a code; shown this once."""

    codes: list[str]


class SessionRow(Output):
    session_id: str
    created_at: Moment
    used_at: Moment | None
    expires_at: Moment | None
    method: str
    client: str
    address: str
    current: bool


class OwnTokenRow(Output):
    token_id: str
    name: str
    scopes: list[str] | None
    created_at: Moment
    expires_at: Moment | None
    used_at: Moment | None


class OwnTokenMade(Output):
    """The token is shown this once; send it as `Authorization: Bearer mwt_…`."""

    token: Annotated[str, Field(examples=["mwt_…"])]
    expires_at: Moment | None


class RecordRow(Output):
    """One act on an account or on how a site is signed in to; by wall time."""

    event_id: int
    at: Moment
    kind: str
    user_id: int | None
    login: str | None
    actor_kind: str
    actor: str
    detail: str
    address: str


@routes.get("/me/security", dependencies=OWN)
def read_security(request: Request, ctx: Ctx) -> Security:
    """How my account is secured, and how this session was signed in."""
    user_id = ctx.person.user_id
    row = ctx.conn.execute("select password_hash is not null from users where user_id = %s", (user_id,)).fetchone()
    confirmed = ctx.person.confirmed_at
    return Security(
        has_password=bool(row and row[0]),
        codes_on=second.is_on(ctx.conn, user_id),
        recovery_left=second.left(ctx.conn, user_id),
        passkeys_here=_passkeys_here(request),
        method=ctx.person.method,
        confirm_needed=confirmed is None or confirmed < wall_now() - FRESH,
    )


@routes.post("/me/confirm", status_code=204, dependencies=OWN)
def confirm(request: Request, ctx: Ctx, body: Confirm) -> None:
    """Prove that it is still me, with the password or a code: changes of the next quarter hour need it."""
    require_session(ctx.person)
    limit: Limit = request.app.state.sign_in_limit
    host, user_id, now = auth.client_host(request), ctx.person.user_id, wall_now()
    with limit.counting(f"{host} \nconfirm {user_id}", WrongLogin):
        if body.code is None:
            given = body.password.get_secret_value() if body.password else ""
            door.confirm(_database(request), user_id, given, now=now, address=host)
        else:
            door.confirm_by_code(_database(request), user_id, body.code, vault=_vault(request), now=now, address=host)
    mine.confirmed(ctx.conn, auth.credential(request).secret, now=now)
    write(ctx.conn, Act.CONFIRMED, user_id, by=ctx.by(request))


@routes.post("/me/password", status_code=204, dependencies=OWN)
def change_password(request: Request, response: Response, ctx: Ctx, body: PasswordChange) -> None:
    """Set my password; every session ends, and this one is given a new cookie."""
    require_session(ctx.person)
    limit: Limit = request.app.state.sign_in_limit
    user_id, now = ctx.person.user_id, wall_now()
    given = body.current.get_secret_value() if body.current else None
    with limit.counting(f"{auth.client_host(request)} \nconfirm {user_id}", WrongLogin):
        door.confirm_present(_database(request), ctx.person, given, now=now, address=auth.client_host(request))
    set_password(ctx.conn, ctx.person.login, body.password.get_secret_value(), by=ctx.by(request))
    fresh = mine.renewed(ctx.conn, ctx.person, now=now, expires_at=now + SESSION_LIFE, source=auth.source(request))
    auth.set_cookie(request, response, fresh)


@routes.post("/me/totp", status_code=201, dependencies=OWN)
def begin_codes(request: Request, ctx: Ctx) -> Enrolment:
    """Begin to use an authenticator app: its secret, which counts once `POST /me/totp/confirm` gave a code."""
    require_fresh(ctx.person, now=wall_now())
    made = second.start(ctx.conn, ctx.person.user_id, login=ctx.person.login, vault=_vault(request), now=wall_now())
    ctx.shows_a_secret()
    rows = ["".join("1" if dark else "0" for dark in row) for row in matrix(made.uri)]
    return Enrolment(secret=made.secret, uri=made.uri, qr=rows)


@routes.post("/me/totp/confirm", dependencies=OWN)
def confirm_codes(request: Request, ctx: Ctx, body: CodeGiven) -> RecoveryCodes:
    """Turn codes on with the first one; shows ten recovery codes. This session counts as signed in with a code."""
    require_fresh(ctx.person, now=wall_now())
    limit: Limit = request.app.state.sign_in_limit
    user_id = ctx.person.user_id
    with limit.counting(f"{auth.client_host(request)} \ntotp {user_id}", WrongCode):
        codes = second.confirm(ctx.conn, user_id, body.code, vault=_vault(request), now=wall_now())
    mine.strengthened(ctx.conn, auth.credential(request).secret)
    write(ctx.conn, Act.CODES_ON, user_id, by=ctx.by(request))
    ctx.shows_a_secret()
    return RecoveryCodes(codes=codes)


@routes.delete("/me/totp", status_code=204, dependencies=OWN)
def end_codes(request: Request, ctx: Ctx) -> None:
    """No code is asked for any more; the recovery codes are void."""
    require_fresh(ctx.person, now=wall_now())
    if second.turn_off(ctx.conn, ctx.person.user_id):
        write(ctx.conn, Act.CODES_OFF, ctx.person.user_id, by=ctx.by(request))


@routes.post("/me/recovery-codes", dependencies=OWN)
def new_recovery_codes(request: Request, ctx: Ctx) -> RecoveryCodes:
    """Ten new recovery codes; the old ones are void."""
    require_fresh(ctx.person, now=wall_now())
    codes = second.new_recovery(ctx.conn, ctx.person.user_id)
    write(ctx.conn, Act.RECOVERY_MADE, ctx.person.user_id, by=ctx.by(request))
    ctx.shows_a_secret()
    return RecoveryCodes(codes=codes)


@routes.get("/me/passkeys", dependencies=OWN)
def list_passkeys(ctx: Ctx) -> Page[PasskeyRow]:
    """My passkeys."""
    return Page(items=[PasskeyRow.model_validate(each) for each in passkeys.listed(ctx.conn, ctx.person.user_id)])


@routes.post("/me/passkeys/options", dependencies=OWN)
def passkey_creation(request: Request, ctx: Ctx) -> PublicKey:
    """What the browser needs to make a passkey."""
    require_fresh(ctx.person, now=wall_now())
    options: dict[str, Any] = passkeys.creation_options(
        ctx.conn,
        ctx.person.user_id,
        login=ctx.person.login,
        name=ctx.person.name,
        party=passkeys.party(auth.origin(request)),
        vault=_vault(request),
        now=wall_now(),
    )
    return PublicKey(publicKey=options)


@routes.post("/me/passkeys", status_code=201, dependencies=OWN)
def add_passkey(request: Request, ctx: Ctx, body: NewPasskey) -> PasskeyRow:
    """Keep a new passkey."""
    require_fresh(ctx.person, now=wall_now())
    made = passkeys.add(
        ctx.conn,
        ctx.person.user_id,
        body.credential.model_dump(by_alias=True),
        name=body.name.strip(),
        party=passkeys.party(auth.origin(request)),
        vault=_vault(request),
        now=wall_now(),
    )
    write(ctx.conn, Act.PASSKEY_ADDED, ctx.person.user_id, by=ctx.by(request), detail=made.name)
    return PasskeyRow.model_validate(made)


@routes.delete("/me/passkeys/{passkey_id}", status_code=204, dependencies=OWN)
def remove_passkey(request: Request, ctx: Ctx, passkey_id: Ident) -> None:
    """Forget a passkey."""
    require_fresh(ctx.person, now=wall_now())
    name = passkeys.remove(ctx.conn, ctx.person.user_id, passkey_id)
    write(ctx.conn, Act.PASSKEY_REMOVED, ctx.person.user_id, by=ctx.by(request), detail=name)


@routes.get("/me/sessions", dependencies=OWN)
def list_sessions(ctx: Ctx) -> Page[SessionRow]:
    """Where I am signed in."""
    found = mine.sessions(ctx.conn, ctx.person, now=wall_now())
    return Page(items=[SessionRow.model_validate(each) for each in found])


@routes.delete("/me/sessions/{session_id}", status_code=204, dependencies=OWN)
def end_session(request: Request, ctx: Ctx, session_id: Ident) -> None:
    """Sign out one of my sessions."""
    require_session(ctx.person)
    mine.end_one(ctx.conn, ctx.person.user_id, session_id)
    write(ctx.conn, Act.SESSION_ENDED, ctx.person.user_id, by=ctx.by(request), detail=session_id)


@routes.delete("/me/sessions", status_code=204, dependencies=OWN)
def end_other_sessions(request: Request, ctx: Ctx) -> None:
    """Sign out everywhere but here."""
    require_session(ctx.person)
    count = mine.end_others(ctx.conn, ctx.person)
    write(ctx.conn, Act.SESSION_ENDED, ctx.person.user_id, by=ctx.by(request), detail=f"{count} others")


@routes.get("/me/tokens", dependencies=OWN)
def list_own_tokens(ctx: Ctx) -> Page[OwnTokenRow]:
    """My living API tokens; the secrets are not kept."""
    return Page(items=[OwnTokenRow.model_validate(each) for each in mine.tokens(ctx.conn, ctx.person.user_id)])


@routes.post("/me/tokens", status_code=201, dependencies=OWN)
def create_own_token(request: Request, ctx: Ctx, body: OwnToken) -> OwnTokenMade:
    """Make a token with some of my rights; it is shown once. What I lose later, it loses too."""
    require_fresh(ctx.person, now=wall_now())
    now = wall_now()
    until = now + timedelta(days=body.expires_in_days)
    made = create_token(
        ctx.conn,
        ctx.person.login,
        name=body.name,
        now=now,
        expires_at=until,
        scopes=scopes.checked(body.scopes, lambda action: _may(ctx, action)),
        by=ctx.by(request),
    )
    ctx.shows_a_secret()
    return OwnTokenMade(token=made, expires_at=until)


@routes.delete("/me/tokens/{token_id}", status_code=204, dependencies=OWN)
def revoke_own_token(request: Request, ctx: Ctx, token_id: Ident) -> None:
    """Void one of my tokens at once."""
    require_session(ctx.person)
    name = mine.revoke_token(ctx.conn, ctx.person.user_id, token_id)
    write(ctx.conn, Act.TOKEN_REVOKED, ctx.person.user_id, by=ctx.by(request), detail=name)


@routes.get("/me/security/record", dependencies=OWN)
def own_record(ctx: Ctx, limit: Most = 20, cursor: Cursor = None) -> Page[RecordRow]:
    """What was done to my account, newest first."""
    before = position(cursor, start=NEWEST)
    found = records.newest(ctx.conn, before=before, limit=limit + 1, user_id=ctx.person.user_id)
    return page([RecordRow.model_validate(each) for each in found], limit, "event_id")


@routes.get("/me/rights", dependencies=OWN)
def my_rights(ctx: Ctx) -> list[str]:
    """My rights on this site: what a token of mine can be good for."""
    return [action for action in RULES if _may(ctx, action)]


def _may(ctx: Context, action: str) -> bool:
    return Policy(action).grant(ctx.role) is not Grant.NO


def _passkeys_here(request: Request) -> bool:
    try:
        passkeys.party(auth.origin(request))
    except NoPasskeysHere:
        return False
    return True


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _vault(request: Request) -> Vault:
    vault: Vault = request.app.state.vault
    return vault
