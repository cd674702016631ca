"""A session with a server: the endpoint asked for, a trusted certificate, an identity. Every step has a deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from asyncua import Client, ua
from asyncua.crypto import security_policies as policies
from asyncua.crypto.uacrypto import CertProperties

from core.errors import MillwrightError
from edge.errors import SourceConfig
from edge.opcua import pki
from edge.sources.opcua import Options

STEP_S = 10.0  # deadline of each step towards the server
LEAVE_S = 3.0
SESSION_MS = 60_000
MOST_MESSAGE = 64 * 1024 * 1024  # of one answer; a server cannot fill our memory

POLICIES = {
    "Basic256Sha256": policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": policies.SecurityPolicyAes256Sha256RsaPss,
}
UNSAFE = "Without security: anybody on the network may read and forge what this server says."

_REFUSED_USER = {
    ua.StatusCodes.BadUserAccessDenied,
    ua.StatusCodes.BadIdentityTokenRejected,
    ua.StatusCodes.BadIdentityTokenInvalid,
    ua.StatusCodes.BadUserSignatureInvalid,
}
_REFUSED_US = {
    ua.StatusCodes.BadSecurityChecksFailed,
    ua.StatusCodes.BadCertificateUntrusted,
    ua.StatusCodes.BadCertificateInvalid,
    ua.StatusCodes.BadCertificateUriInvalid,
    ua.StatusCodes.BadCertificateUseNotAllowed,
    ua.StatusCodes.BadCertificateTimeInvalid,
    ua.StatusCodes.BadCertificateHostNameInvalid,
    ua.StatusCodes.BadCertificateIssuerTimeInvalid,
    ua.StatusCodes.BadCertificateChainIncomplete,
}
_REFUSED_POLICY = {ua.StatusCodes.BadSecurityPolicyRejected, ua.StatusCodes.BadSecurityModeRejected}

T = TypeVar("T")


class ServerRefuses(SourceConfig):
    """The OPC UA server does not let us in."""

    code = "server_refuses"


class ServerAway(MillwrightError):
    """The OPC UA server cannot be reached or does not answer in time. Check its address, and that it runs."""

    code = "server_away"
    status = 503


@dataclass(frozen=True, slots=True)
class Session:
    """An open session, and what is not as it should be."""

    client: Client
    warnings: tuple[str, ...]


def quiet() -> None:
    """What goes wrong is told by us, in one line."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)


async def within(step: Awaitable[T], seconds: float, what: str) -> T:
    """A step's outcome. Raises ServerAway when it takes longer."""
    try:
        return await asyncio.wait_for(step, seconds)
    except TimeoutError as error:
        raise ServerAway(f"The server did not answer within {seconds:g} s while {what}.") from error


async def opened(url: str, chosen: Options, folder: Path, *, name: str, now: datetime) -> Session:
    """A session as the options say. Raises SourceConfig with what to change, ServerAway, or what asyncua raises."""
    client = Client(url, timeout=STEP_S, watchdog_intervall=STEP_S)
    client.name = client.description = "Millwright"
    client.session_timeout = SESSION_MS
    client.max_messagesize = MOST_MESSAGE
    warnings = [UNSAFE] if chosen.policy is None else await _secure(client, chosen, folder, name=name, now=now)
    await _identify(client, chosen, folder)
    try:
        await within(client.connect(), STEP_S, "connecting")
    except Exception as error:
        client.disconnect_socket()
        told = refusal(error, chosen, folder)
        if told is not None:
            raise told from error
        raise
    return Session(client, tuple(warnings))


async def shown(url: str, chosen: Options) -> pki.Shown:
    """The certificate of the endpoint that the options ask for, trusted or not. Raises SourceConfig, ServerAway."""
    if chosen.policy is None:
        raise SourceConfig("This source has no security, so there is no certificate to trust.")
    return pki.show(_der(await _endpoint(Client(url, timeout=STEP_S), chosen)))


async def left(client: Client) -> None:
    """Part from a server, also from one that does not answer; nothing of the session stays behind."""
    with suppress(Exception):
        await asyncio.wait_for(client.disconnect(), LEAVE_S)
    client.disconnect_socket()
    with suppress(Exception):
        await asyncio.wait_for(client.disconnect(), LEAVE_S)  # ends its tasks; there is nobody to talk to any more


def refusal(error: BaseException, chosen: Options, folder: Path) -> SourceConfig | None:
    """What to change when a server refuses us; None when trying again may help."""
    code = getattr(error, "code", None)
    if code in _REFUSED_USER:
        who = f"the user {chosen.user!r}" if chosen.user else "our user certificate or anonymous access"
        return ServerRefuses(f"The server refuses {who}. Check user, password and rights there.")
    if code in _REFUSED_US:
        return ServerRefuses(
            f"The server does not accept our certificate ({folder / pki.OWN / 'cert.der'}): {error} "
            "Add it to the server's trusted clients."
        )
    if code in _REFUSED_POLICY:
        return ServerRefuses(f"The server refuses this security: {error}")
    return None


async def _secure(client: Client, chosen: Options, folder: Path, *, name: str, now: datetime) -> list[str]:
    """Set the channel up towards a server whose certificate is trusted; returns warnings."""
    endpoint = await _endpoint(client, chosen)
    der = _der(endpoint)
    shown = pki.show(der)
    pki.check_trust(shown, chosen.trusted, name=name)
    own = await asyncio.to_thread(pki.own, folder, now=now)
    client.application_uri = own.uri
    mode = getattr(ua.MessageSecurityMode, chosen.mode)
    await client.set_security(
        POLICIES[str(chosen.policy)], own.cert, own.key, server_certificate=CertProperties(der, "der"), mode=mode
    )
    return pki.warnings(shown, application_uri=endpoint.Server.ApplicationUri or "", now=now)


async def _endpoint(client: Client, chosen: Options) -> ua.EndpointDescription:
    """The endpoint asked for: never a weaker one. Raises SourceConfig with those that there are."""
    endpoints = await within(client.connect_and_get_server_endpoints(), STEP_S, "asking for its endpoints")
    policy, mode = POLICIES[str(chosen.policy)], getattr(ua.MessageSecurityMode, chosen.mode)
    for each in endpoints:
        if each.SecurityPolicyUri == policy.URI and each.SecurityMode == mode:
            return each
    offered = sorted({f"{each.SecurityPolicyUri.partition('#')[2]}/{each.SecurityMode.name}" for each in endpoints})
    raise ServerRefuses(
        f"The server does not offer {chosen.policy} with {chosen.mode}. It offers: {', '.join(offered) or 'nothing'}."
    )


def _der(endpoint: ua.EndpointDescription) -> bytes:
    if not endpoint.ServerCertificate:
        raise ServerRefuses("The server shows no certificate for this endpoint.")
    return _first(bytes(endpoint.ServerCertificate))


def _first(chain: bytes) -> bytes:
    """The server's own certificate: a chain is certificates one after the other, each an ASN.1 sequence."""
    if chain[:2] != b"\x30\x82":
        return chain
    return chain[: int.from_bytes(chain[2:4], "big") + 4]


async def _identify(client: Client, chosen: Options, folder: Path) -> None:
    """Who we are for the server: a user with a password, a user certificate, or nobody."""
    try:
        if chosen.user is not None:
            client.set_user(chosen.user)
            secret = (folder / str(chosen.password_file)).read_text("utf-8").strip() if chosen.password_file else ""
            client.set_password(secret)
        elif chosen.user_certificate_file is not None:
            await client.load_client_certificate(folder / chosen.user_certificate_file)
            await client.load_private_key(folder / str(chosen.user_key_file))
    except (OSError, ValueError) as error:
        raise SourceConfig(f"The file with the user's secret cannot be used: {error}") from error
