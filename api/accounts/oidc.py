"""OpenID Connect: authorization code with PKCE, state and nonce. HTTP towards the provider; no SQL.

    begin()  -> address to send the browser to, and a Begun that a sealed cookie keeps
    finish() -> the claims of the ID token, whose signature, issuer, audience, times and nonce fit

What a provider says of itself (discovery) and its keys are kept for ten minutes; keys are fetched anew, at most once a
minute, when a token names one that is not known (OpenID Connect Core 1.0 §10.1.1).
"""

from __future__ import annotations

import ipaddress
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from api.errors import ProviderAway, ProviderRefused
from core.errors import Invalid
from core.strict_json import JsonRefused, loads

ANSWER_S, ANSWER_BYTES = 5.0, 256 * 1024
KEPT_S, KEYS_AGAIN_S = 600.0, 60.0
BEGUN_LIFE = timedelta(minutes=10)
LEEWAY_S = 60
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are to a provider."""

    issuer: str
    client_id: str
    client_secret: str | None
    scopes: str


@dataclass(frozen=True, slots=True)
class Begun:
    """One sign-in on its way: what the answer must fit."""

    provider: str
    state: str
    nonce: str
    verifier: str
    ends_at: float  # seconds since the epoch

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Providers:
    """Documents and keys of providers, kept for a while. Safe between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    def document(self, issuer: str) -> dict[str, Any]:
        """What the provider says of itself. Raises ProviderAway, ProviderRefused."""
        found = self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", younger_than_s=KEPT_S)
        if found.get("issuer") != issuer or not all(isinstance(found.get(each), str) for each in ENDPOINTS):
            raise ProviderRefused("The provider's own description names another issuer, or lacks an endpoint.")
        for each in ENDPOINTS:
            safe(found[each])
        return found

    def keys(self, issuer: str, *, younger_than_s: float = KEPT_S) -> KeySet:
        """The provider's public keys. Raises ProviderAway, ProviderRefused."""
        try:
            return KeySet.import_key_set(self._get(self.document(issuer)["jwks_uri"], younger_than_s=younger_than_s))  # type: ignore[arg-type]  # its parser judges
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderRefused("The provider's keys cannot be read.") from error

    def _get(self, address: str, *, younger_than_s: float) -> dict[str, Any]:
        with self._lock:
            at, found = self._kept.get(address, (float("-inf"), {}))
        if self._clock() - at < younger_than_s:
            return found
        found = fetch("GET", safe(address))
        with self._lock:
            self._kept[address] = (self._clock(), found)
        return found


def begin(providers: Providers, client: Client, *, code: str, callback: str, now: datetime) -> tuple[str, Begun]:
    """Where to send the browser, and what its answer must fit. Raises ProviderAway, ProviderRefused."""
    begun = Begun(
        code,
        secrets.token_urlsafe(32),
        secrets.token_urlsafe(32),
        secrets.token_urlsafe(48),
        (now + BEGUN_LIFE).timestamp(),
    )
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": callback,
        "scope": client.scopes,
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": create_s256_code_challenge(begun.verifier),
        "code_challenge_method": "S256",
    }
    endpoint = providers.document(client.issuer)["authorization_endpoint"]
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}", begun


def finish(
    providers: Providers, client: Client, begun: Begun, *, state: str, code: str, callback: str, now: datetime
) -> dict[str, Any]:
    """The claims of who came back. Raises ProviderRefused, ProviderAway."""
    if not secrets.compare_digest(begun.state.encode(), state.encode()) or begun.ends_at <= now.timestamp():
        raise ProviderRefused
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback,
        "code_verifier": begun.verifier,
    }
    document = providers.document(client.issuer)
    answer = _exchange(document, client, form)
    token = answer.get("id_token")
    if not isinstance(token, str):
        raise ProviderRefused("The provider gave no ID token. Its scopes must include `openid`.")
    return verified(token, providers=providers, client=client, nonce=begun.nonce, now=now)


def verified(token: str, *, providers: Providers, client: Client, nonce: str, now: datetime) -> dict[str, Any]:
    """The claims of an ID token (OpenID Connect Core 1.0 §3.1.3.7). Raises ProviderRefused."""
    try:
        claims = _decoded(token, providers=providers, issuer=client.issuer)
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": client.issuer},
            aud={"essential": True, "value": client.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        registry.validate(claims)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ProviderRefused from error
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client.client_id) != client.client_id:
        raise ProviderRefused
    return claims


def _decoded(token: str, *, providers: Providers, issuer: str) -> dict[str, Any]:
    try:
        return dict(jwt.decode(token, providers.keys(issuer), registry=JWSRegistry(algorithms=ALGORITHMS)).claims)
    except (JoseError, ValueError):  # signed by a key that is newer than those kept
        keys = providers.keys(issuer, younger_than_s=KEYS_AGAIN_S)
        return dict(jwt.decode(token, keys, registry=JWSRegistry(algorithms=ALGORITHMS)).claims)


def _exchange(document: Mapping[str, Any], client: Client, form: dict[str, str]) -> dict[str, Any]:
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if client.client_secret is None:
        return fetch("POST", document["token_endpoint"], form=form | {"client_id": client.client_id})
    if "client_secret_basic" in methods:  # RFC 6749 §2.3.1: both are form-encoded first
        auth = (quote(client.client_id, safe=""), quote(client.client_secret, safe=""))
        return fetch("POST", document["token_endpoint"], form=form, auth=auth)
    ours = {"client_id": client.client_id, "client_secret": client.client_secret}
    return fetch("POST", document["token_endpoint"], form=form | ours)


def fetch(
    method: str, address: str, *, form: dict[str, str] | None = None, auth: tuple[str, str] | None = None
) -> dict[str, Any]:
    """A JSON object from the provider, within 5 s and 256 KiB; redirects are not followed.

    Raises ProviderAway, ProviderRefused.
    """
    ends = time.monotonic() + ANSWER_S
    try:
        with (
            httpx.Client(timeout=ANSWER_S, follow_redirects=False, trust_env=False) as http,
            http.stream(method, address, data=form, auth=auth, headers={"accept": "application/json"}) as answer,
        ):
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > ANSWER_BYTES or time.monotonic() > ends:
                    raise ProviderAway("The sign-in provider answers too slowly or too much.")
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderAway from error
    if status >= 500:
        raise ProviderAway
    try:
        found = loads(body)
    except JsonRefused as error:
        raise ProviderRefused("The provider's answer is no JSON.") from error
    if status >= 400 or not isinstance(found, dict):
        raise ProviderRefused
    return found


def safe(address: str) -> str:
    """An address that a secret may be sent to: https, or this machine. Raises Invalid."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if not host or parts.username or parts.password or parts.fragment:
        raise Invalid("The provider's address must be https://… without a user name.")
    if parts.scheme == "https" or (parts.scheme == "http" and _here(host)):
        return address
    raise Invalid("The provider's address must be https://…; plain http only on this machine.")


def _here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
