"""Every device tries every topic, past a broker that lets anything through: ingest alone must refuse.

Tags are bound for each (site, device), so that whatever is let in would be stored.
"""

from __future__ import annotations

import json
from itertools import product

import pytest
from psycopg import Connection

from core.broker_rules import hash_password
from core.database import Database
from edge import envelope
from plant.assets import MachineSpec, SignalSpec, ensure_machine, revoke_device
from plant.assets import register_device as register
from tests.conftest import RunningBroker
from tests.integration.ingest_kit import START_US, publisher, running_ingest, wait_until

SITES = ("plant", "other", "Plant", "nowhere", "plant ", "%c", "..", "")
DEVICES = ("gw", "twin", "GW", "gw ", "gw-1", "%u", "millwright-ingest", "$SYS", "")
TAG = "M/flow"
LEAVES = (f"s/{TAG}", "b", "g", f"w/{TAG}", "health", "receipt", "cmd/x", "B", "s", "b/x", "")
HEADS = ("mw/v1", "mw/v2", "MW/v1", "mw", "$share/x/mw/v1")
SECRET = "the gateway's own"


@pytest.fixture
def two_sites(database: Database, site: int) -> dict[str, int]:
    """`gw` lives on plant, `twin` on other; each has been on the other site too and was revoked there."""
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('other', 'Other') returning site_id").fetchone()
    assert row
    found = {"plant": site, "other": int(row[0])}
    for code, site_id in found.items():
        here, gone = ("gw", "twin") if code == "plant" else ("twin", "gw")
        with database.tx(site_id=site_id) as conn:
            assert revoke_device(conn, register(conn, gone, secret_hash=hash_password("x")))
            for device in (here, gone):
                specs = [SignalSpec("flow", "temperature", "°C", device, TAG)]
                ensure_machine(conn, MachineSpec(f"M-{device}", "Machine", "pump", signals=specs))
    for code, device in (("plant", "gw"), ("other", "twin")):
        with database.tx(site_id=found[code]) as conn:
            register(conn, device, secret_hash=hash_password("x"))
            key = envelope.key_of(SECRET, site=code, device=device)
            conn.execute("update devices set mac_key = %s where name = %s", (key, device))
    return found


def payloads(at_us: int) -> list[bytes]:
    batch = json.dumps({"d": [{"s": TAG, "t0": at_us, "dt": [0], "v": [666]}]}).encode()
    return [json.dumps({"v": 666, "t_us": at_us}).encode(), batch]


def hostile() -> list[str]:
    """Every topic but the own data topics of living devices, as far as MQTT can name it."""
    own = {
        f"mw/v1/{code}/{device}/{leaf}" for code, device in (("plant", "gw"), ("other", "twin")) for leaf in LEAVES[:5]
    }
    named = {"/".join((head, *rest)) for head, *rest in product(HEADS, SITES, DEVICES, LEAVES)}
    return sorted(named - own)


def signals(superuser: Connection) -> list[tuple[str, str, float]]:
    """(site, asset, value) of every stored sample."""
    rows = superuser.execute(
        """select i.code, a.code, x.value from samples x join signals s using (signal_id)
           join assets a on a.asset_id = s.asset_id join sites i on i.site_id = s.site_id order by 1, 2, 3"""
    )
    return rows.fetchall()


def test_no_topic_lets_a_device_in_where_it_does_not_live(
    database: Database, two_sites: dict[str, int], superuser: Connection, mosquitto: RunningBroker
) -> None:
    topics = hostile()
    assert len(topics) > 1000
    with (
        running_ingest(database, mosquitto.port, mosquitto.folder / "ingest.log"),
        publisher(mosquitto.port, user="#") as client,
    ):
        for number, topic in enumerate(topics):
            for payload in payloads(START_US + number):
                client.publish(topic, payload, qos=1)
        for code, device in (("plant", "gw"), ("other", "twin")):
            sealed_for_other = envelope.seal(
                envelope.key_of(SECRET, site=code, device=device), f"mw/v1/{code}/{device}/g", payloads(START_US)[1]
            )
            for wrong in ("plant", "other"):
                for victim in ("gw", "twin"):
                    if (wrong, victim) != (code, device):
                        client.publish(f"mw/v1/{wrong}/{victim}/g", sealed_for_other, qos=1)
        for code, device in (("plant", "gw"), ("other", "twin")):
            last = json.dumps({"v": 1, "t_us": START_US}).encode()
            client.publish(f"mw/v1/{code}/{device}/s/{TAG}", last, qos=1).wait_for_publish(60)
        own = [("other", "M-twin", 1.0), ("plant", "M-gw", 1.0)]
        wait_until(lambda: len(signals(superuser)) >= len(own), within_s=60, what="storing")
        assert signals(superuser) == own
    reasons = dict(superuser.execute("select reason, sum(readings)::int from quarantine group by 1").fetchall())
    assert {"revoked_device", "unknown_device", "bad_signature", "bad_topic"} <= reasons.keys()
