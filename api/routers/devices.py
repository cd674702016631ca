"""Devices and gateways that may publish: the administrator's."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from pydantic import Field

from api import devices
from api.deps import Ctx, router
from api.devices import DeviceKind
from api.policies import allow
from api.shapes import Cursor, Id, Input, Limit, Moment, Output, Page, page, position
from core import certificates
from core.tls import Authority
from ingest.signatures import Signing

routes = router("devices")
MANAGE = [allow("device.manage")]


class NewDevice(Input):
    """A gateway signs its batches unless `signing` is optional."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$", examples=["gateway-1"])]
    kind: DeviceKind = DeviceKind.DEVICE
    signing: Signing | None = None


class DeviceRow(Output):
    """`denied` counts publishes within the last hour that the broker denied. The certificate is the newest one."""

    device_id: int
    name: str
    kind: DeviceKind
    signing: Signing
    registered_at: Moment
    rotated_at: Moment | None
    revoked_at: Moment | None
    certificate_serial: str | None
    certificate_fingerprint: str | None
    certificate_expires_at: Moment | None
    denied: int


class DeviceMade(Output):
    """The secret is the device's MQTT password, shown this once; its user name is its name."""

    device_id: int
    name: str
    secret: str


class NewCertificate(Input):
    """`request`: a certificate request (PEM, PKCS #10) for a key that the device made; without it we make the key."""

    request: Annotated[str | None, Field(max_length=20_000)] = None


class CertificateMade(Output):
    """PEM texts. `key` is shown this once, null where the device has it; `authority` verifies the broker."""

    device_id: int
    name: str
    serial: str
    expires_at: Moment
    certificate: str
    key: str | None
    authority: str


class DeviceEvent(Output):
    event_id: int
    at: Moment
    device_id: int
    device: str
    actor: str
    kind: str
    detail: str


@routes.get("/devices", dependencies=MANAGE)
def list_devices(ctx: Ctx) -> Page[DeviceRow]:
    """Registered devices, revoked ones too."""
    return Page(items=[DeviceRow.model_validate(each) for each in devices.devices(ctx.conn)])


@routes.post("/devices", status_code=201, dependencies=MANAGE)
def register_device(ctx: Ctx, body: NewDevice) -> DeviceMade:
    """Let a device publish under `mw/v1/{site}/{name}/…`; the broker knows it a moment later."""
    made = devices.register(ctx.conn, body.name, actor=ctx.person.login, kind=body.kind, signing=body.signing)
    ctx.shows_a_secret()
    return DeviceMade(device_id=made.device_id, name=made.name, secret=made.password)


@routes.post("/devices/{device_id}/rotate", dependencies=MANAGE)
def rotate_device(ctx: Ctx, device_id: Id) -> DeviceMade:
    """A new password; the old one and every certificate of the device are void, open sessions end."""
    made = devices.rotate(ctx.conn, device_id, actor=ctx.person.login)
    ctx.shows_a_secret()
    return DeviceMade(device_id=made.device_id, name=made.name, secret=made.password)


@routes.post("/devices/{device_id}/certificates", status_code=201, dependencies=MANAGE)
def issue_certificate(ctx: Ctx, request: Request, device_id: Id, body: NewCertificate) -> CertificateMade:
    """A client certificate of the instance's own authority, good for two years or until it is revoked."""
    name = devices.device(ctx.conn, device_id).name
    authority = Authority(request.app.state.settings.data_dir)
    if body.request is None:
        made = authority.client(name)
        certificate, key = made.certificate, made.key.decode()
        ctx.shows_a_secret()
    else:
        certificate, key = authority.sign(name, body.request.encode()), None
    serial = devices.keep_certificate(ctx.conn, device_id, certificate, actor=ctx.person.login)
    return CertificateMade(
        device_id=device_id,
        name=name,
        serial=serial,
        expires_at=certificates.expires(certificate),
        certificate=certificate.decode(),
        key=key,
        authority=authority.identity.certificate.decode(),
    )


@routes.delete("/devices/{device_id}", status_code=204, dependencies=MANAGE)
def revoke_device(ctx: Ctx, device_id: Id) -> None:
    """Shut a device out: its sessions end within seconds, and what it sends from now on is quarantined."""
    devices.revoke(ctx.conn, device_id, actor=ctx.person.login)


@routes.get("/device-events", dependencies=MANAGE)
def list_device_events(
    ctx: Ctx,
    device_id: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Of this device alone.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[DeviceEvent]:
    """What was done to devices and what they were denied, newest first."""
    before = position(cursor, start=2**62)
    found = devices.events(ctx.conn, before=before, limit=limit + 1, device_id=device_id)
    return page([DeviceEvent.model_validate(each) for each in found], limit, "event_id")
