"""Everything that was sent adds up, to the reading: bad data of every kind, and kills at any moment."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import client as mqtt
from psycopg import Connection

from core.database import Database
from edge.codecs import health
from ingest import reconcile
from ingest.reconcile import Account, Epoch, Missing, Totals, balance
from plant.assets import register_device
from tests.conftest import RunningBroker
from tests.integration.ingest_kit import (
    START_US,
    batch_payload,
    count,
    make_plant,
    publisher,
    running_ingest,
    start_ingest,
    stop_process,
    wait_until,
)
from tests.integration.test_gateway import FILE, Mosquitto, plant_behind_gateway, start_gateway

SECOND = 1_000_000


def accounts(database: Database, site: int) -> dict[str, Account]:
    with database.tx(site_id=site) as conn:
        return {each.source: each for each in reconcile.accounts(conn)}


def send(client: mqtt.Client, topic: str, payload: Any) -> None:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    client.publish(f"mw/v1/plant/{topic}", body, qos=1).wait_for_publish(10)


def sent_badly(now_us: int) -> Iterator[tuple[str, Any, int]]:
    """(topic, payload, readings) of bad data of every kind, unnumbered; the same twice where that is the point."""
    good = "dv/s/M-0/s0"
    for index in range(20):  # a burst, 10 ms apart
        yield good, {"v": float(index), "t_us": now_us + index * 10_000}, 1
    yield good, {"v": 1.0, "t_us": now_us}, 1  # an identical twin comes below
    yield good, {"v": 1.0, "t_us": now_us}, 1
    yield good, b'{"v": NaN, "t_us": 1}', 1
    yield good, {"v": "warm", "t_us": now_us}, 1
    yield good, {"v": None, "t_us": now_us + 1}, 1
    yield good, {"v": 1e999, "t_us": now_us}, 1
    yield good, {"v": 2.0, "t_us": now_us + 10 * 86_400 * SECOND}, 1  # in ten days
    yield good, {"v": 2.0, "t_us": 1}, 1  # 1970
    yield good, {"v": 2.0, "t": "2026-01-01T00:00:00"}, 1  # no zone
    yield good, {"v": 2.0, "u": "bar"}, 1  # no temperature
    yield good, b"not json at all", 1
    yield good, b"", 1
    yield "dv/s/M-0/nobody", {"v": 2.0, "t_us": now_us}, 1
    yield "dv/x/strange", {"v": 2.0}, 1
    yield "stranger/s/a", {"v": 2.0, "t_us": now_us}, 1
    yield "dv/b", batch_payload(["M-0/s0", "M-0/nobody"], START_US, [1.0, 2.0, 3.0]), 6
    yield "dv/b", json.dumps({"d": [{"s": "M-0/s0", "t0": START_US, "dt": [5, 6], "v": [1.0, None]}]}).encode(), 2


def test_bad_data_of_every_kind_are_stored_quarantined_or_recognised(
    database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path, superuser: Connection
) -> None:
    make_plant(database, site, device="dv")
    sent: dict[str, int] = {}
    with running_ingest(database, mosquitto.port, tmp_path / "log"), publisher(mosquitto.port) as client:
        for topic, payload, readings in sent_badly(time.time_ns() // 1000):
            send(client, topic, payload)
            sent[topic.split("/")[0]] = sent.get(topic.split("/")[0], 0) + readings
        client.publish("mw/v1/nowhere/dv/s/a", b'{"v": 1}', qos=1).wait_for_publish(10)
        wait_until(
            lambda: {each.source: each.sent for each in accounts(database, site).values()} == sent, what="it all"
        )
        wait_until(lambda: count(superuser, "ingest_drops") == 1, what="the drop")
    found = accounts(database, site)
    assert all(each.balances for each in found.values())
    assert found["dv"].stored == count(superuser, "samples") >= 24
    assert found["dv"].twins >= 1
    row = superuser.execute("select sum(readings)::int from quarantine where source = 'dv'").fetchone()
    assert row == (found["dv"].quarantined,)
    assert found["stranger"].quarantined == 1


@pytest.mark.slow
def test_counts_are_exact_whenever_ingest_is_killed(
    database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path, superuser: Connection
) -> None:
    make_plant(database, site, device="gw")
    with database.tx(site_id=site) as conn:
        register_device(conn, "dv", secret_hash="x")
        conn.execute(
            """insert into bindings (source, tag, signal_id, unit) select 'dv', 'a', signal_id, '°C' from signals
               order by signal_id limit 1"""
        )
    chance, log = random.Random(5), tmp_path / "log"
    ingest = start_ingest(database, mosquitto.port, log)
    samples = single = 0
    with publisher(mosquitto.port) as client:
        wait_until(lambda: "mqtt.connected" in log.read_text(), within_s=60, what="subscribing")
        for seq in range(1, 241):
            values = [float(seq)] * 5
            at_us = START_US + seq * 10 * SECOND
            tags = {"M-0/s0": values, "M-0/s1": values, "nobody": values[:2]}
            series = [
                {"s": tag, "t0": at_us, "dt": [i * SECOND for i in range(len(v))], "v": v} for tag, v in tags.items()
            ]
            body = {"epoch": "e1", "seq": seq, "d": series}
            client.publish("mw/v1/plant/gw/b", json.dumps(body), qos=1)
            client.publish("mw/v1/plant/dv/s/a", json.dumps({"v": seq + 0.5, "t_us": at_us}), qos=1)
            samples, single = samples + 12, single + 1
            time.sleep(0.02)
            if seq % 30 == 0:
                time.sleep(chance.uniform(0.0, 0.6))
                ingest.kill()
                ingest.wait()
                ingest = start_ingest(database, mosquitto.port, log)
        told = health.State("e1", 240, samples, 0, 0.0, 0, [])
        client.publish("mw/v1/plant/gw/health", health.write(told), qos=1).wait_for_publish(10)

        def settled() -> bool:
            found = accounts(database, site)
            return set(found) == {"gw", "dv"} and found["gw"].stored == 2400 and found["dv"].stored == single

        wait_until(settled, within_s=60, what="everything stored")
        wait_until(lambda: count(superuser, "gateway_reports") == 1, what="the gateway's report")
    stop_process(ingest)
    found = accounts(database, site)
    assert found["gw"].balances and found["gw"].sent == samples and found["gw"].quarantined == 2 * 240
    assert found["dv"].balances and found["dv"].sent >= single  # what came twice is a twin
    assert found["dv"].sent - found["dv"].twins == single
    assert count(superuser, "samples") == 2400 + single
    assert count(superuser, "source_tallies") == 0
    row = superuser.execute("select samples from source_status where source = 'gw'").fetchone()
    assert row == (2400,)
    superuser.execute("delete from message_ledger where seq in (7, 8)")  # a control: two messages vanish
    gone = accounts(database, site)["gw"]
    assert gone.missing == (Missing("e1", 7, 8),) and not gone.balances


COUNTS = st.integers(0, 1000)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=30))
def test_a_balance_is_the_sum_of_its_parts(
    stored: int, held: int, twins: int, released: int, dropped: int, messages: list[tuple[bool, int]]
) -> None:
    came = [(seq, readings) for seq, (arrived, readings) in enumerate(messages, 1) if arrived]
    told = sum(readings for _, readings in messages)
    arrived = sum(readings for _, readings in came)
    ranges = tuple((seq, seq) for seq, _ in came)
    epoch = Epoch("e", told, len(messages), arrived, arrived, ranges)
    heard = arrived + stored + held + twins + dropped  # and as much again without numbers
    totals = Totals(heard, 0, arrived + stored + released, held, twins, released, dropped)
    found = balance("s", totals, [epoch] if messages else [])
    assert found.difference == told - arrived
    lost = [seq for seq, (was, _) in enumerate(messages, 1) if not was]
    assert [seq for hole in found.missing for seq in range(hole.low, hole.high + 1)] == lost
    assert found.balances == (not lost)


@pytest.mark.slow
def test_a_real_gateways_own_word_balances_with_what_came(
    database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path, superuser: Connection
) -> None:
    """To the sample, also what it forwards of tags that nobody bound, and what it cannot read itself."""
    plant_behind_gateway(database, site)
    floor = Mosquitto(tmp_path / "floor")
    file = tmp_path / "gateway.toml"
    file.write_text(FILE.format(port=mosquitto.port, floor=floor.port))
    process = start_gateway(file, tmp_path / "gateway.log")
    try:
        with running_ingest(database, mosquitto.port, tmp_path / "log"), publisher(floor.port, user="dev") as client:
            wait_until(lambda: "connected" in (tmp_path / "gateway.log").read_text(), within_s=60, what="the gateway")
            time.sleep(1.0)
            for index in range(300):
                tag = "M-0/s0" if index % 3 else "nobody"
                body = {"v": float(index), "t_us": START_US + index * SECOND}
                client.publish(f"mw/v1/plant/dev/s/{tag}", json.dumps(body), qos=1)
            many = {"s": "M-0/s1", "t0": START_US, "dt": list(range(2000)), "v": [1.5] * 2000}
            for bad in ({"q": [0] * 1999 + [3]}, {"dt": [*range(5000, 6999), 0.5]}, {"dt": list(range(2001))}):
                client.publish("mw/v1/plant/dev/b", json.dumps({"d": [many | bad]}), qos=1)
            client.publish("mw/v1/plant/dev/b", b'{"d":[],"d":[]}', qos=1)

            def balanced() -> bool:
                found = accounts(database, site).get("gw")
                reports = superuser.execute("select samples from gateway_reports").fetchall()
                return found is not None and found.sent == 6301 and reports == [(6301,)] and found.balances

            wait_until(balanced, within_s=40, what="the balance")
        found = accounts(database, site)["gw"]
        assert (found.stored, found.quarantined, found.waiting) == (200 + 2 * 1999, 100 + 2 + 2000 + 1, 0)
        kept = superuser.execute(
            """select reason, source, tag, readings, length(payload) > 0, position('(dev, ' in detail) > 0
               from quarantine where reason <> 'unknown_tag' order by readings, reason, tag"""
        ).fetchall()
        assert kept == [
            ("bad_time", "gw", "dev/M-0/s1", 1, True, True),
            ("malformed", "gw", "dev", 1, True, True),
            ("malformed", "gw", "dev/M-0/s1", 1, True, True),
            ("wrong_length", "gw", "dev/M-0/s1", 2000, True, True),
        ]
    finally:
        process.terminate()
        process.wait(15)
        floor.kill()
