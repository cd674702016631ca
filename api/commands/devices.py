"""The verb for devices: register, renew, revoke, list, and what was done to them."""

from __future__ import annotations

import argparse
from pathlib import Path

from psycopg import Connection

from api import devices
from api.commands.parts import instance_of, say
from api.commands.people import site_of
from api.devices import Device, DeviceKind, Made
from api.instance import Instance
from core import tls
from core.certificates import Identity
from core.settings import settings
from core.tls import Authority
from ingest.signatures import Signing

ACTOR = "command line"
NEWEST = 2**62


def device(argv: list[str]) -> int:
    """Register a device, renew or revoke one, list them."""
    arguments = _parser().parse_args(argv)
    instance = instance_of(settings())
    with instance.database.tx() as conn:
        site_id = site_of(conn, arguments.site)
    DO[arguments.verb](instance, arguments, site_id)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millwright device", description="Machines and gateways that may publish.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="register; prints its password once")
    add.add_argument("name")
    add.add_argument("--gateway", action="store_true", help="speaks for other machines; must sign its batches")
    add.add_argument("--signing", choices=list(Signing), help="must it sign? (default: a gateway must)")
    certificate = verbs.add_parser("certificate", help="write a client certificate; older ones stay valid")
    certificate.add_argument("name")
    certificate.add_argument("folder", type=Path)
    rotate = verbs.add_parser("rotate", help="a new password; the old one and all its certificates are void")
    rotate.add_argument("name")
    for verb in (add, rotate):
        verb.add_argument("--certificate", type=Path, metavar="DIR", help="also write a client certificate into DIR")
    revoke = verbs.add_parser("revoke", help="refuse it from now on, and end its sessions")
    revoke.add_argument("name")
    verbs.add_parser("list", help="list devices")
    log = verbs.add_parser("events", help="what was done to devices, newest first")
    log.add_argument("name", nargs="?", help="of this device alone")
    log.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (default 50)")
    for verb in verbs.choices.values():
        verb.add_argument("--site", help="site code (default: the first site)")
    return parser


def _add(instance: Instance, arguments: argparse.Namespace, site_id: int) -> None:
    kind = DeviceKind.GATEWAY if arguments.gateway else DeviceKind.DEVICE
    signing = Signing(arguments.signing) if arguments.signing else None
    with instance.database.tx(site_id=site_id) as conn:
        made = devices.register(conn, arguments.name, actor=ACTOR, kind=kind, signing=signing)
        issued = _issue(conn, instance, made) if arguments.certificate else None
        code = _code(conn, site_id)
    say(f"registered; the password is shown this once: {made.password}")
    if issued:
        _hand_over(instance, arguments.certificate, made.name, issued)
    if (signing or kind.signing) is Signing.REQUIRED:
        say("it must sign: write the password into its gateway's configuration (docs/telemetry.md, Gateway)")
        return
    say("try it, a moment from now:")
    print(_example(instance, made, code, arguments.certificate if issued else None))
    say("an unknown tag waits in the console under Quarantine, where a click binds it to a signal")


def _certificate(instance: Instance, arguments: argparse.Namespace, site_id: int) -> None:
    with instance.database.tx(site_id=site_id) as conn:
        issued = _issue(conn, instance, devices.living(conn, arguments.name))
    _hand_over(instance, arguments.folder, arguments.name, issued)


def _rotate(instance: Instance, arguments: argparse.Namespace, site_id: int) -> None:
    with instance.database.tx(site_id=site_id) as conn:
        made = devices.rotate(conn, devices.living(conn, arguments.name).device_id, actor=ACTOR)
        issued = _issue(conn, instance, made) if arguments.certificate else None
    say(f"the new password is shown this once: {made.password}")
    if issued:
        _hand_over(instance, arguments.certificate, made.name, issued)


def _revoke(instance: Instance, arguments: argparse.Namespace, site_id: int) -> None:
    with instance.database.tx(site_id=site_id) as conn:
        devices.revoke(conn, devices.living(conn, arguments.name).device_id, actor=ACTOR)
    say(f"{arguments.name} is revoked")


def _list(instance: Instance, _arguments: argparse.Namespace, site_id: int) -> None:
    with instance.database.tx(site_id=site_id) as conn:
        found = devices.devices(conn)
    for each in found:
        print(f"{each.name:<32} {each.kind:<8} {_in_words(each)}")


def _in_words(each: Device) -> str:
    if each.revoked_at:
        return f"revoked {each.revoked_at:%Y-%m-%d %H:%M}"
    parts = ["may publish"]
    if each.signing == Signing.REQUIRED:
        parts.append("must sign")
    if each.certificate_expires_at:
        parts.append(f"certificate until {each.certificate_expires_at:%Y-%m-%d}")
    if each.denied:
        parts.append(f"{each.denied} publishes denied within the hour")
    return ", ".join(parts)


def _events(instance: Instance, arguments: argparse.Namespace, site_id: int) -> None:
    with instance.database.tx(site_id=site_id) as conn:
        ids = {each.name: each.device_id for each in devices.devices(conn)}
        wanted = None if arguments.name is None else ids.get(arguments.name, 0)
        found = devices.events(conn, before=NEWEST, limit=arguments.limit, device_id=wanted)
    for each in found:
        print(f"{each.at:%Y-%m-%d %H:%M:%S}  {each.device:<24} {each.kind:<20} {each.actor:<16} {each.detail}".rstrip())


DO = {
    "add": _add,
    "certificate": _certificate,
    "rotate": _rotate,
    "revoke": _revoke,
    "list": _list,
    "events": _events,
}


def _issue(conn: Connection, instance: Instance, who: Made | Device) -> Identity:
    """A certificate that is known to the database before anybody has it."""
    made = Authority(instance.data_dir).client(who.name)
    devices.keep_certificate(conn, who.device_id, made.certificate, actor=ACTOR)
    return made


def _hand_over(instance: Instance, folder: Path, name: str, issued: Identity) -> None:
    """After the commit: write the files and say how they are used."""
    authority = Authority(instance.data_dir).identity.certificate
    certificate, key, ca = tls.write_client(folder, name, issued, authority=authority)
    say(f"wrote {certificate}, {key} (secret) and {ca}")
    found = instance.endpoints
    if found is None or found.certificate_port is None:
        say("the broker asks for certificates once mqtt_certificate_port is set (docs/settings.md)")


def _example(instance: Instance, made: Made, code: str, folder: Path | None) -> str:
    """A command that publishes one sample through the best door that is open to the device."""
    found = instance.endpoints
    secret = f"-u {made.name} -P {made.password}"
    if found and found.certificate_port and folder:
        files = f"--cert {folder / made.name}.pem --key {folder / made.name}.key"
        how = f"-h localhost -p {found.certificate_port} --cafile {folder / 'ca.pem'} {files}"
    elif found and found.tls_port and not instance.settings.mqtt_tls_cert:
        ca = Authority(instance.data_dir).certificate_file
        how = f"-h localhost -p {found.tls_port} --cafile {ca} {secret}"
    else:
        where = f"-h {found.broker_host} -p {found.broker_port}" if found and found.broker_host else "-h BROKER"
        how = f"{where} {secret}"
    return f'  mosquitto_pub {how} -q 1 -t mw/v1/{code}/{made.name}/s/temperature -m \'{{"v": 21.5, "u": "°C"}}\''


def _code(conn: Connection, site_id: int) -> str:
    row = conn.execute("select code from sites where site_id = %s", (site_id,)).fetchone()
    return row[0] if row else ""
