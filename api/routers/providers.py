"""Sign-in providers (OpenID Connect), and whom they let in on this site: the administrator's."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Request, Response
from pydantic import Field, SecretStr

from api import auth
from api.accounts import oidc, providers
from api.accounts.providers import Provider, Rule
from api.accounts.records import Act, write_here
from api.accounts.vault import Vault
from api.deps import Context, Ctx, Version, router
from api.policies import allow
from api.shapes import Input, Moment, Output, Page

routes = router("users")
MANAGE = [allow("provider.manage")]
Code = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Claim = Annotated[str, Field(pattern=r"^[!-~]{1,200}$", examples=["groups"])]
Text = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\r\n]*\S[^\r\n]*$")]
MOST_RULES = 200


class ProviderTerms(Input):
    """``matching``: `login` lets it speak for people who exist. ``second``: `trusted` when it asks for a second factor
    itself. Without ``client_secret`` the present one stays; a provider without one is asked as a public client."""

    name: Text
    issuer: Annotated[str, Field(pattern=r"^https?://[^\s#]{1,490}$", examples=["https://login.example.org/realms/a"])]
    client_id: Annotated[str, Field(pattern=r"^[!-~]{1,300}$")]
    client_secret: Annotated[SecretStr | None, Field(min_length=1, max_length=1000)] = None
    scopes: Annotated[str, Field(pattern=r"^openid( [!-~]{1,60}){0,15}$")] = "openid profile email"
    login_claim: Claim = "preferred_username"
    matching: Literal["none", "login"] = "none"
    second: Literal["asked", "trusted"] = "asked"
    enabled: bool = True


class NewProvider(ProviderTerms):
    code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", examples=["plant-login"])]


class RuleShape(Input):
    """Whoever has ``value`` (`*` = any) in ``claim`` gets ``role``; of several that fit the highest role."""

    claim: Claim
    value: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\r\n]*$", examples=["maintenance"])]
    role: Literal["requester", "engineer", "planner", "manager", "admin"]


class RulesSet(Input):
    rules: Annotated[list[RuleShape], Field(max_length=MOST_RULES)]


class ProviderRow(Output):
    """``ours``: declared by this site, which alone changes it. ``callback``: the address to enter at the provider."""

    code: str
    name: str
    issuer: str
    client_id: str
    has_secret: bool
    scopes: str
    login_claim: str
    matching: str
    second: str
    enabled: bool
    ours: bool
    version: int
    changed_at: Moment
    changed_by: str
    callback: str
    rules: list[RuleShape]


class Tried(Output):
    """The provider answered, and its description and keys can be read."""

    authorization_endpoint: str
    token_endpoint: str
    keys: int


@routes.get("/identity-providers", dependencies=MANAGE)
def list_providers(request: Request, ctx: Ctx) -> Page[ProviderRow]:
    """Every sign-in provider, with the rules of this site."""
    return Page(items=[_row(request, ctx, each) for each in providers.listed(ctx.conn)])


@routes.post("/identity-providers", status_code=201, dependencies=MANAGE)
def create_provider(request: Request, ctx: Ctx, body: NewProvider) -> ProviderRow:
    """Declare a sign-in provider."""
    oidc.safe(body.issuer)
    terms = body.model_dump(exclude={"client_secret", "code"})
    providers.put(ctx.conn, body.code, terms, secret=_secret(body), vault=_vault(request), by=ctx.person.name)
    write_here(ctx.conn, Act.PROVIDER_SET, by=ctx.by(request), detail=f"{body.code}: {body.issuer}")
    return _row(request, ctx, providers.named(ctx.conn, body.code))


@routes.put("/identity-providers/{code}", dependencies=MANAGE)
def change_provider(
    request: Request, response: Response, ctx: Ctx, code: Code, body: ProviderTerms, version: Version
) -> ProviderRow:
    """Change a sign-in provider of this site."""
    oidc.safe(body.issuer)
    terms = body.model_dump(exclude={"client_secret"})
    providers.change(
        ctx.conn, code, terms, version=version, secret=_secret(body), vault=_vault(request), by=ctx.person.name
    )
    write_here(ctx.conn, Act.PROVIDER_SET, by=ctx.by(request), detail=f"{code}: {body.issuer}")
    changed = providers.named(ctx.conn, code)
    response.headers["etag"] = f'"{changed.version}"'
    return _row(request, ctx, changed)


@routes.put("/identity-providers/{code}/rules", dependencies=MANAGE)
def set_provider_rules(request: Request, ctx: Ctx, code: Code, body: RulesSet) -> ProviderRow:
    """Set whom a provider lets in on this site: which claims give which role. They hold from the next sign-in on."""
    provider = providers.named(ctx.conn, code)
    wanted = [Rule(each.claim, each.value, each.role) for each in body.rules]
    providers.set_rules(ctx.conn, provider.provider_id, wanted)
    told = "; ".join(f"{each.claim}={each.value} → {each.role}" for each in wanted)
    write_here(ctx.conn, Act.PROVIDER_RULES_SET, by=ctx.by(request), detail=f"{code}: {told or 'nobody'}")
    return _row(request, ctx, provider)


@routes.post("/identity-providers/{code}/test", dependencies=MANAGE)
def test_provider(ctx: Ctx, code: Code) -> Tried:
    """Ask the provider for its description and its keys, now."""
    provider = providers.named(ctx.conn, code)
    fresh = oidc.Providers()
    document = fresh.document(provider.issuer)
    return Tried(
        authorization_endpoint=document["authorization_endpoint"],
        token_endpoint=document["token_endpoint"],
        keys=len(fresh.keys(provider.issuer).keys),
    )


def _row(request: Request, ctx: Context, provider: Provider) -> ProviderRow:
    rules = [
        RuleShape(claim=each.claim, value=each.value, role=each.role)
        for each in providers.rules(ctx.conn, provider.provider_id)
    ]
    own = {name: getattr(provider, name) for name in ProviderRow.model_fields if hasattr(provider, name)}
    callback = f"{auth.origin(request)}/api/v1/session/oidc/{provider.code}/callback"
    return ProviderRow(**own, ours=provider.site_id == ctx.site.site_id, callback=callback, rules=rules)


def _secret(body: ProviderTerms) -> str | None:
    return body.client_secret.get_secret_value() if body.client_secret else None


def _vault(request: Request) -> Vault:
    vault: Vault = request.app.state.vault
    return vault
