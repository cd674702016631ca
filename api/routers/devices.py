"""Devices and gateways that may publish: the administrator's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api import members
from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Id, Input, Moment, Output, Page
from core.errors import NotFound

routes = router("devices")
MANAGE = [allow("device.manage")]


class NewDevice(Input):
    name: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$", examples=["gateway-1"])]


class DeviceRow(Output):
    device_id: int
    name: str
    registered_at: Moment
    revoked_at: Moment | None


class DeviceMade(Output):
    """The secret is the device's MQTT password, shown this once; its user name is its name."""

    device_id: int
    name: str
    secret: str


@routes.get("/devices", dependencies=MANAGE)
def list_devices(ctx: Ctx) -> Page[DeviceRow]:
    """Registered devices, revoked ones too."""
    return Page(items=[DeviceRow.model_validate(each) for each in members.devices(ctx.conn)])


@routes.post("/devices", status_code=201, dependencies=MANAGE)
def register_device(ctx: Ctx, body: NewDevice) -> DeviceMade:
    """Let a device publish under `mw/v1/{site}/{name}/…`; the broker knows it a moment later."""
    secret = members.register_device(ctx.conn, body.name)
    ctx.shows_a_secret()
    made = next((each for each in members.devices(ctx.conn) if each.name == body.name), None)
    if made is None:
        raise NotFound
    return DeviceMade(device_id=made.device_id, name=made.name, secret=secret)


@routes.delete("/devices/{device_id}", status_code=204, dependencies=MANAGE)
def revoke_device(ctx: Ctx, device_id: Id) -> None:
    """Shut a device out; what it sends from now on is quarantined."""
    members.revoke_device(ctx.conn, device_id)
