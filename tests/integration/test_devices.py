"""Devices in the database and the API: keys that the app cannot read, certificates, events that nobody rewrites."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import Connection, errors

from api import devices
from api.broker_watch import Watch, listeners
from api.devices import DeviceKind
from core import certificates
from core.broker_log import Denials, Denied
from core.broker_mosquitto import Listeners, Plain
from core.broker_rules import hash_password, verify_password
from core.certificates import CertificateInvalid
from core.clock import wall_now
from core.database import Database
from core.embedded import EmbeddedServer
from core.errors import ConfigError, NotFound
from core.settings import Settings
from core.tls import Authority
from edge import envelope
from ingest import store
from ingest.signatures import Key, Signing
from tests.api_world import API, World, cloned, living, problem

ADMIN = "admin"


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("api")) as made:
        yield made


def keys(database: Database) -> dict[tuple[int, str], Key]:
    with database.ingest_tx() as conn:
        return dict(store.snapshot(conn).keys)


def test_a_password_opens_the_broker_and_signs_for_ingest(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        made = devices.register(conn, "gw-1", actor=ADMIN, kind=DeviceKind.GATEWAY)
        plain = devices.register(conn, "pump", actor=ADMIN)
    with database.ingest_tx() as conn:
        users = dict(devices.broker_users(conn))
    assert verify_password(made.password, users["gw-1"])
    sealed = envelope.seal(envelope.key_of(made.password, site="plant", device="gw-1"), "topic", b"x")
    kept = keys(database)[site, "gw-1"]
    assert kept.secret and envelope.open(kept.secret, "topic", sealed) == b"x"
    assert (kept.signing, keys(database)[site, "pump"].signing) == (Signing.REQUIRED, Signing.OPTIONAL)
    assert made.password not in repr(made) and plain.password != made.password


@pytest.mark.parametrize(
    "statement",
    [
        "select mac_key from devices",
        "select * from devices",
        "update devices set name = encode(mac_key, 'hex')",
        "update devices set revoked_at = now() where mac_key is null",
        "insert into devices (name, secret_hash) values ('x', 'x') returning mac_key",
        "update device_events set detail = ''",
        "delete from device_events",
        "delete from device_certificates",
        "update device_certificates set expires_at = now()",
        "insert into device_denials select 1, 1, now(), 1, ''",
    ],
)
def test_the_app_reads_no_key_and_rewrites_no_event(database: Database, site: int, statement: str) -> None:
    with database.tx(site_id=site) as conn:
        devices.register(conn, "gw-1", actor=ADMIN)
    with pytest.raises(errors.InsufficientPrivilege), database.tx(site_id=site) as conn:
        conn.execute(statement.encode())


def test_a_rotated_device_has_another_password_key_and_no_certificate(database: Database, site: int) -> None:
    authority_of = certificates.new_authority("test", now=wall_now())
    with database.tx(site_id=site) as conn:
        made = devices.register(conn, "gw-1", actor=ADMIN)
        issued = certificates.issue_client(authority_of, "gw-1", now=wall_now())
        serial = devices.keep_certificate(conn, made.device_id, issued.certificate, actor=ADMIN)
        assert devices.device(conn, made.device_id).certificate_serial == serial
    before = keys(database)[site, "gw-1"].secret
    with database.tx(site_id=site) as conn:
        again = devices.rotate(conn, made.device_id, actor=ADMIN)
        found = devices.device(conn, made.device_id)
    assert again.password != made.password and found.rotated_at and found.certificate_serial is None
    assert keys(database)[site, "gw-1"].secret != before
    with database.ingest_tx() as conn:
        assert devices.revoked_certificates(conn) == {serial: "gw-1"}
    with database.tx(site_id=site) as conn:
        kinds = [each.kind for each in devices.events(conn, before=2**62, limit=10)]
    assert kinds == ["certificate_revoked", "rotated", "certificate_issued", "registered"]


def test_a_revoked_device_is_no_user_and_may_come_back(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        made = devices.register(conn, "gw-1", actor=ADMIN)
        devices.revoke(conn, made.device_id, actor="line")
        for verb in (devices.revoke, devices.rotate):
            with pytest.raises(NotFound):
                verb(conn, made.device_id, actor=ADMIN)
        with pytest.raises(NotFound):
            devices.living(conn, "gw-1")
        again = devices.register(conn, "gw-1", actor=ADMIN, kind=DeviceKind.GATEWAY, signing=Signing.OPTIONAL)
        assert again.device_id == made.device_id
        found = devices.living(conn, "gw-1")
    assert (found.kind, found.signing, found.revoked_at) == ("gateway", "optional", None)


def test_denied_publishes_are_kept_by_minute_and_begin_with_one_event(database: Database, site: int) -> None:
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('other', 'Other') returning site_id").fetchone()
    assert row
    with database.tx(site_id=row[0]) as conn:  # the name lived here before
        devices.revoke(conn, devices.register(conn, "gw-1", actor=ADMIN).device_id, actor=ADMIN)
    with database.tx(site_id=site) as conn:
        devices.register(conn, "gw-1", actor=ADMIN)
    for _ in range(3):
        with database.ingest_tx() as conn:
            devices.keep_denials(conn, {"gw-1": Denied(5, "mw/v1/x\x00/b"), "millwright-ingest": Denied(9, "x")})
    with database.tx(site_id=site) as conn:
        assert devices.denials(conn) == {"gw-1": 15}
        assert devices.living(conn, "gw-1").denied == 15
        found = devices.events(conn, before=2**62, limit=10)
    assert [(each.kind, each.actor) for each in found] == [("publish_denied", "broker"), ("registered", ADMIN)]
    with database.tx(site_id=row[0]) as conn:
        assert devices.denials(conn) == {}
    with database.ingest_tx() as conn:
        devices.forget_denials(conn)
        conn.execute("update device_denials set minute = minute - interval '8 days'")
        devices.forget_denials(conn)
        assert conn.execute("select count(*) from device_denials").fetchone() == (0,)


def test_events_are_told_in_pages(conn: Connection) -> None:
    for name in ("a", "b"):
        devices.register(conn, name, actor=ADMIN)
    first = devices.events(conn, before=2**62, limit=1)
    second = devices.events(conn, before=first[0].event_id, limit=10)
    assert [each.device for each in (*first, *second)] == ["b", "a"]
    only = devices.events(conn, before=2**62, limit=10, device_id=second[0].device_id)
    assert [each.device for each in only] == ["a"]


class Told:
    """What a watch tells its broker."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[tuple[str, str]], dict[str, str]]] = []
        self.turns = 0

    def refresh(self, users: list[tuple[str, str]], revoked: dict[str, str]) -> None:
        self.calls.append((users, revoked))

    def turn(self) -> None:
        self.turns += 1


def test_the_watch_hears_of_devices_and_keeps_denials(
    database: Database, site: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.broker_watch.KEEP_DENIALS_S", 0.0)
    broker, denials = Told(), Denials()
    watch = Watch(database, broker, denials)  # type: ignore[arg-type]
    watch.look()
    assert broker.calls == [([], {})]
    with database.tx(site_id=site) as conn:
        devices.register(conn, "gw-1", actor=ADMIN)
    look_until(watch, lambda: [name for name, _ in broker.calls[-1][0]] == ["gw-1"])
    denials.line("DENIED gw-1 mw/v1/plant/x/b")
    watch.look()
    with database.tx(site_id=site) as conn:
        assert devices.denials(conn) == {"gw-1": 1}
    assert broker.turns >= 3 and len(broker.calls) == 2
    watch.close()


def look_until(watch: Watch, true: Callable[[], bool]) -> None:
    """The notice of a commit reaches the other connection a moment later."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        watch.look()
        time.sleep(0.01)


def test_what_the_settings_say_about_the_doors(tmp_path: Path) -> None:
    assert listeners(Settings(data_dir=tmp_path)) == Listeners()
    made = Authority(tmp_path).server(("localhost",))
    (tmp_path / "c.pem").write_bytes(made.certificate)
    (tmp_path / "k.pem").write_bytes(made.key)
    given = {"mqtt_tls_cert": tmp_path / "c.pem", "mqtt_tls_key": tmp_path / "k.pem"}
    found = listeners(
        Settings(
            data_dir=tmp_path,
            mqtt_listen="0.0.0.0",  # noqa: S104
            mqtt_plain="outside",
            mqtt_tls_port=8883,
            mqtt_certificate_port=8884,
            mqtt_tls_names=" broker.example , 10.0.0.5 ",
            **given,
        )
    )
    assert found == Listeners("0.0.0.0", Plain.OUTSIDE, 8883, 8884, made, ("broker.example", "10.0.0.5"))  # noqa: S104
    with pytest.raises(ConfigError, match="go together"):
        listeners(Settings(data_dir=tmp_path, mqtt_tls_cert=tmp_path / "c.pem"))
    with pytest.raises(CertificateInvalid):
        listeners(Settings(data_dir=tmp_path, mqtt_tls_cert=tmp_path / "no.pem", mqtt_tls_key=tmp_path / "k.pem"))


def test_a_gateway_in_the_api(world: World) -> None:
    admin = world.as_("admin")
    made = admin.post(f"{API}/devices", json={"name": "api-gw", "kind": "gateway"}).json()
    row = next(each for each in admin.get(f"{API}/devices").json()["items"] if each["name"] == "api-gw")
    assert (row["kind"], row["signing"], row["denied"], row["certificate_serial"]) == ("gateway", "required", 0, None)
    path = f"{API}/devices/{made['device_id']}"
    issued = admin.post(f"{path}/certificates", json={}).json()
    loaded = x509.load_pem_x509_certificate(issued["certificate"].encode())
    assert [each.value for each in loaded.subject] == ["api-gw"]
    assert certificates.issued_by(issued["certificate"].encode(), issued["authority"].encode())
    assert "PRIVATE KEY" in issued["key"]
    rotated = admin.post(f"{path}/rotate")
    assert rotated.status_code == 200 and rotated.json()["secret"] != made["secret"]
    assert admin.delete(path).status_code == 204
    assert problem(admin.post(f"{path}/certificates", json={}))["code"] == "not_found"
    assert problem(admin.post(f"{path}/rotate"))["code"] == "not_found"
    told = admin.get(f"{API}/device-events", params={"device_id": made["device_id"], "limit": 3}).json()
    assert [each["kind"] for each in told["items"]] == ["revoked", "certificate_revoked", "rotated"]
    rest = admin.get(
        f"{API}/device-events", params={"device_id": made["device_id"], "limit": 3, "cursor": told["next"]}
    ).json()
    assert [each["kind"] for each in rest["items"]] == ["certificate_issued", "registered"]
    assert {each["actor"] for each in told["items"]} == {"admin"} and rest["next"] is None
    assert world.as_("stranger").get(f"{API}/device-events").json()["items"] == []
    for text in (str(told), str(rest), admin.get(f"{API}/devices").text):
        assert made["secret"] not in text and rotated.json()["secret"] not in text


def test_a_device_that_made_its_key_itself(world: World) -> None:
    admin = world.as_("admin")
    made = admin.post(f"{API}/devices", json={"name": "own-key"}).json()
    path = f"{API}/devices/{made['device_id']}/certificates"
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    text = request.public_bytes(serialization.Encoding.PEM).decode()
    issued = admin.post(path, json={"request": text}).json()
    assert issued["key"] is None
    assert x509.load_pem_x509_certificate(issued["certificate"].encode()).public_key() == key.public_key()
    assert problem(admin.post(path, json={"request": "nonsense"}))["code"] == "certificate_invalid"
    assert world.as_("stranger").post(path, json={}).status_code == 404
    assert world.as_("planner").post(path, json={}).status_code == 403


def test_an_old_device_without_a_key_is_told_so(database: Database, site: int) -> None:
    """Registered before keys were kept: nothing that it signs can be verified."""
    with database.tx(site_id=site) as conn:
        conn.execute("insert into devices (name, secret_hash) values ('old', %s)", (hash_password("x"),))
    assert keys(database)[site, "old"].secret is None
