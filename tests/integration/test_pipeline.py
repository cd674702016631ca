"""The pipeline on a real database: once, whatever comes twice; kept aside, whatever does not fit; never blocked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from psycopg import Connection, sql

from core.database import Database
from edge.codecs import columns
from edge.delivery import Delivery, Message, Raw
from edge.receipts import Receipt, decode
from ingest import backfill, store
from ingest.keeper import Keeper
from ingest.pipeline import Pipeline
from plant.assets import bind, create_asset, create_signal, revoke_device
from plant.model import Reading
from plant.telemetry import from_us, to_us
from tests.integration.ingest_kit import NOW_US, START_US, batch_payload, count, make_plant, stored, wait_until


class Plant:
    """A pipeline with its keeper, and a publisher that notes what was acked."""

    def __init__(self, database: Database, tags: dict[str, int]) -> None:
        self.database, self.tags = database, tags
        self.acked: list[int] = []
        self.sent = 0
        self.receipts: list[tuple[str, Receipt]] = []
        self.pipeline = Pipeline(database, batch_rows=500, linger_s=0.02, most_messages=1000, publish=self._receipt)
        self.keeper = Keeper(database, self.pipeline)
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=part.run, args=(self.stop,)) for part in (self.pipeline, self.keeper)]

    def start(self) -> None:
        self.pipeline.prepare()
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()

    def send(self, payload: bytes, *, tag: str | None = None, source: str = "gw", site: str = "plant") -> None:
        self.sent += 1
        number = self.sent
        topic = f"mw/v1/{site}/{source}/" + (f"s/{tag}" if tag else "b")
        self.pipeline.inbox(
            Delivery(site, source, Raw(payload, "json", tag), NOW_US, topic, ack=lambda: self.acked.append(number))
        )

    def settled(self) -> None:
        """Wait until everything sent was acked once."""
        wait_until(lambda: len(self.acked) >= self.sent, what="every ack")
        assert sorted(self.acked) == list(range(1, self.sent + 1))

    def _receipt(self, topic: str, payload: bytes) -> None:
        self.receipts.append((topic, decode(payload)))


@pytest.fixture
def plant(database: Database, site: int) -> Iterator[Plant]:
    found = Plant(database, make_plant(database, site))
    found.start()
    try:
        yield found
    finally:
        found.end()


def reasons(conn: Connection) -> dict[tuple[str, str], int]:
    return {
        (reason, tag): n
        for reason, tag, n in conn.execute("select reason, tag, sum(readings)::int from quarantine group by 1, 2")
    }


def test_a_batch_and_single_samples_are_stored_in_canonical_units(plant: Plant, superuser: Connection) -> None:
    plant.send(batch_payload(plant.tags, START_US, [1.0, 2.0], epoch="a", seq=1))
    plant.send(json.dumps({"v": 212.0, "u": "°F", "t_us": START_US + 9}).encode(), tag="M-0/s0")
    plant.settled()
    rows = [(signal_id, START_US + i * 1_000_000, float(i + 1)) for signal_id in plant.tags.values() for i in (0, 1)]
    assert stored(superuser) == sorted([*rows, (plant.tags["M-0/s0"], START_US + 9, pytest.approx(100.0))])
    assert superuser.execute("select source, epoch, seq, samples from message_ledger").fetchall() == [("gw", "a", 1, 6)]
    assert plant.receipts == [("mw/v1/plant/gw/receipt", Receipt("a", 1, ()))]


def test_the_same_message_again_changes_nothing_but_brings_a_receipt(plant: Plant, superuser: Connection) -> None:
    payload = batch_payload(plant.tags, START_US, [1.0, 2.0], epoch="a", seq=1)
    for _ in range(3):
        plant.send(payload)
    plant.settled()
    plant.send(payload)
    plant.settled()
    assert len(stored(superuser)) == 6
    assert plant.receipts[-1][1] == Receipt("a", 1, ())
    plant.end()
    plant.keeper.settle()
    row = superuser.execute("select messages, samples, duplicates, quarantined from source_status").fetchone()
    assert row == (4, 6, 18, 0)


def test_a_number_that_comes_again_with_other_content_is_counted_apart(plant: Plant, superuser: Connection) -> None:
    payload = batch_payload(["M-0/s0"], START_US, [1.0, 2.0], epoch="a", seq=1)
    for each in (payload, payload, batch_payload(["M-0/s0"], START_US, [1.0, 2.0, 3.0], epoch="a", seq=1)):
        plant.send(each)
        plant.settled()
    plant.end()
    plant.keeper.settle()
    assert len(stored(superuser)) == 2
    rows = superuser.execute("select device, reason, sum(count)::int from ingest_drops group by 1, 2").fetchall()
    assert rows == [("gw", "bad_sequence", 1)]


def test_receipts_tell_the_gaps_and_closing_them(plant: Plant) -> None:
    for seq in (2, 3, 7):
        plant.send(batch_payload(["M-0/s0"], START_US + seq, [1.0], epoch="e", seq=seq))
    plant.settled()
    assert plant.receipts[-1][1] == Receipt("e", 7, ((1, 1), (4, 6)))
    for seq in (5, 1, 4, 6):
        plant.send(batch_payload(["M-0/s0"], START_US + seq, [1.0], epoch="e", seq=seq))
        plant.settled()
    assert plant.receipts[-1][1] == Receipt("e", 7, ())


def test_a_sample_is_stored_once_whoever_sends_it_again_and_however_late(plant: Plant, superuser: Connection) -> None:
    tag, signal_id = next(iter(plant.tags.items()))
    plant.send(batch_payload([tag, tag], START_US, [1.0, 2.0, 3.0]))  # twice within one message
    plant.send(batch_payload([tag], START_US, [1.0, 2.0, 3.0]))  # and in the same flush
    plant.settled()
    plant.send(batch_payload([tag], START_US, [1.0, 9.0, 3.0]))  # later: one differs
    plant.send(batch_payload([tag], START_US - 1_000_000, [0.5, 1.0]))  # out of order: one is new
    plant.send(batch_payload([tag], START_US, [1.0], epoch="x", seq=1))  # under another identity
    plant.settled()
    second = 1_000_000
    assert stored(superuser) == [
        (signal_id, START_US - second, 0.5),
        (signal_id, START_US, 1.0),
        (signal_id, START_US + second, 2.0),
        (signal_id, START_US + second, 9.0),
        (signal_id, START_US + 2 * second, 3.0),
    ]


def test_what_is_newest_survives_a_restart(database: Database, site: int, superuser: Connection) -> None:
    first = Plant(database, make_plant(database, site))
    first.pipeline.prepare()
    storing = threading.Thread(target=first.pipeline.run, args=(first.stop,))
    storing.start()  # without a keeper: last values are never written, as after a kill -9
    first.send(batch_payload(first.tags, START_US, [1.0, 2.0]))
    first.settled()
    first.stop.set()
    storing.join(20)
    assert count(superuser, "last_values") == 0
    second = Plant(database, first.tags)
    second.start()
    second.send(batch_payload(first.tags, START_US, [1.0, 2.0, 3.0]))
    second.settled()
    second.end()
    assert len(stored(superuser)) == 9
    assert count(superuser, "last_values") == 3


def test_everything_bad_is_kept_aside_with_a_reason_and_the_good_is_stored(
    plant: Plant, superuser: Connection, database: Database, site: int
) -> None:
    good = {"v": 1.0, "t_us": START_US}
    tag = "M-0/s0"
    for number, payload in enumerate(
        [
            b"{",
            b'{"v": NaN}',
            b'{"v": "3.2"}',
            b'{"v": 1, "t": "2026-01-01T00:00:00"}',
            b'{"v": 1, "t": "1601-01-01T00:00:00Z"}',
            b'{"v": 1, "t": "9999-01-01T00:00:00Z"}',
            b'{"v": 1, "u": "bar"}',
            b'{"v": 1, "u": "\xff"}',
            b'{"v": 1, "u": "\\u0000"}',
            b'{"v": 1, "seq": 1}',
            b'{"v": 1}' + b" " * (1 << 20),
        ]
    ):
        plant.send(payload, tag=tag)
        plant.send(json.dumps({**good, "t_us": START_US + number}).encode(), tag=tag)
    plant.send(json.dumps(good).encode(), tag="M-0/unheard")
    plant.send(json.dumps(good).encode(), tag=tag, source="stranger")
    plant.send(json.dumps(good).encode(), tag=tag, site="nowhere")
    mixed = {"epoch": "m", "seq": 1, "d": [{"s": tag, "t0": START_US + 100, "dt": [0, 1, 2], "v": [1.0, "x", 3.0]}]}
    plant.send(json.dumps(mixed).encode())
    plant.settled()
    assert reasons(superuser) == {
        ("malformed", tag): 1,
        ("not_a_number", tag): 3,
        ("time_without_zone", tag): 1,
        ("implausible_time", tag): 2,
        ("wrong_unit", tag): 1,
        ("hostile_text", tag): 1,
        ("unknown_unit", tag): 1,
        ("bad_sequence", tag): 1,
        ("too_large", tag): 1,
        ("unknown_tag", "M-0/unheard"): 1,
        ("unknown_device", ""): 1,
    }
    assert [at - START_US for _, at, _ in stored(superuser)] == [*range(11), 100, 102]
    assert plant.receipts[-1][1] == Receipt("m", 1, ())  # a message with a bad sample is settled too
    assert superuser.execute("select every(detail <> '') from quarantine").fetchone() == (True,)


def test_a_new_binding_and_a_revoked_device_count_at_once(
    plant: Plant, superuser: Connection, database: Database, site: int
) -> None:
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="N", name="New", asset_class="pump")
        signal_id = create_signal(conn, asset_id=asset_id, code="n", name="n", quantity="ratio", unit="%")
        bind(conn, source="gw", tag="N/n", signal_id=signal_id)
    time.sleep(0.3)  # a forced re-read happens at most every quarter of a second
    plant.send(b'{"v": 5, "t_us": %d}' % START_US, tag="N/n")
    plant.settled()
    assert stored(superuser) == [(signal_id, START_US, 5.0)]
    with database.tx(site_id=site) as conn:
        row = conn.execute("select device_id from devices").fetchone()
        assert row is not None
        assert revoke_device(conn, row[0])

    def refused() -> bool:
        plant.send(b'{"v": 5, "t_us": %d}' % (START_US + plant.sent), tag="N/n")
        plant.settled()
        return ("revoked_device", "") in reasons(superuser)

    wait_until(refused, within_s=5.0, what="refusing the revoked device")


def test_what_waited_for_a_binding_is_released_once(
    plant: Plant, superuser: Connection, database: Database, site: int
) -> None:
    plant.send(batch_payload(["N/n", "M-0/s0"], START_US, [1.0, 2.0], epoch="a", seq=1))
    plant.send(batch_payload(["N/n"], START_US, [2.0, 2.0, 3.0]))
    plant.settled()
    assert count(superuser, "samples") == 2
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="N", name="New", asset_class="pump")
        signal_id = create_signal(conn, asset_id=asset_id, code="n", name="n", quantity="temperature", unit="°C")
        bind(conn, source="gw", tag="N/n", signal_id=signal_id, scale=10.0)
    wait_until(
        lambda: count(superuser, "quarantine where settled_as = 'released'") == 2, within_s=10.0, what="the release"
    )
    mine = [(at - START_US, value) for each, at, value in stored(superuser) if each == signal_id]
    assert mine == [(0, 10.0), (0, 20.0), (1_000_000, 20.0), (2_000_000, 30.0)]
    assert count(superuser, "quarantine where settled_at is null") == 0


def test_what_had_a_unit_that_did_not_fit_is_released_by_a_binding_that_does(
    plant: Plant, superuser: Connection, database: Database, site: int
) -> None:
    for number, unit in enumerate(("bar", "furlong", "bar")):
        values = [float(each) for each in range(1, 2001)] if number else [1.0]
        series = {"s": "M-0/s0", "u": unit, "t0": START_US + number, "dt": [1000 * i for i in range(len(values))]}
        plant.send(json.dumps({"d": [series | {"v": values}]}).encode())
    plant.settled()
    assert reasons(superuser) == {("wrong_unit", "M-0/s0"): 2001, ("unknown_unit", "M-0/s0"): 2000}
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="N", name="New", asset_class="pump")
        signal_id = create_signal(conn, asset_id=asset_id, code="n", name="n", quantity="pressure", unit="bar")
        bind(conn, source="gw", tag="M-0/s0", signal_id=signal_id)
    wait_until(lambda: len(stored(superuser)) == 2001, within_s=20.0, what="the release")
    assert reasons_open(superuser) == {("unknown_unit", "M-0/s0"): 2000}  # nobody knows furlongs yet
    assert {each for each, _, _ in stored(superuser)} == {signal_id}


def reasons_open(conn: Connection) -> dict[tuple[str, str], int]:
    rows = conn.execute("select reason, tag, sum(readings)::int from quarantine where settled_at is null group by 1, 2")
    return {(reason, tag): n for reason, tag, n in rows}


def test_a_large_reading_that_waited_is_released_whole(
    plant: Plant, superuser: Connection, database: Database, site: int
) -> None:
    count = 60_000  # in JSON more than a message may have, in columns not
    at_us = START_US - 10**9 + np.arange(count) * 10_000 + 7
    large = Reading("gw", "N/n", at_us, np.arange(count) / 7.0, np.zeros(count, np.uint8), None)
    plant.send(columns.encode(Message((large,), epoch="a", seq=1)))
    plant.settled()
    row = superuser.execute("select readings, length(payload) from quarantine").fetchone()
    assert row is not None
    assert row[0] == count
    assert row[1] > 1 << 20
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="N", name="New", asset_class="pump")
        signal_id = create_signal(conn, asset_id=asset_id, code="n", name="n", quantity="temperature", unit="°C")
        bind(conn, source="gw", tag="N/n", signal_id=signal_id)
    wait_until(lambda: count == len(stored(superuser)), within_s=20.0, what="the release")


def test_who_may_not_speak_gets_no_receipt_and_its_number_stays_new(
    plant: Plant, superuser: Connection, database: Database, site: int
) -> None:
    payload = batch_payload(["M-0/s0"], START_US, [1.0, 2.0], epoch="late", seq=1)
    superuser.execute("update devices set revoked_at = now()")
    time.sleep(0.3)  # a forced re-read happens at most every quarter of a second
    plant.pipeline.reload()
    plant.send(payload)
    plant.settled()
    assert reasons(superuser) == {("revoked_device", ""): 2}
    assert plant.receipts == []
    superuser.execute("update devices set revoked_at = null")
    plant.pipeline.reload()
    plant.send(payload)
    plant.settled()
    assert len(stored(superuser)) == 2
    assert plant.receipts[-1][1] == Receipt("late", 1, ())


def test_a_message_that_is_refused_whole_leaves_no_gap_when_its_number_can_be_read(
    plant: Plant, superuser: Connection
) -> None:
    plant.send(batch_payload(["M-0/s0"], START_US, [1.0], epoch="e", seq=1))
    plant.send(b'{"epoch":"e","seq":2,"d":{}}')
    plant.send(b'{"epoch":"e","seq":3,"d":[{"s":"M-0/s0","t0":1,"dt":[0],"v":[1]}],"d":[]}')
    plant.send(batch_payload(["M-0/s0"], START_US + 1, [1.0], epoch="e", seq=4))
    plant.settled()
    assert plant.receipts[-1][1] == Receipt("e", 4, ())
    assert reasons(superuser) == {("malformed", ""): 2}


def test_a_poisonous_message_is_found_among_good_ones(plant: Plant, superuser: Connection) -> None:
    superuser.execute(
        """create function refuse() returns trigger language plpgsql as $$ begin
             if new.value = 666 then raise check_violation using message = 'no such value'; end if;
             return new; end $$"""
    )
    row = superuser.execute("select coalesce(to_regclass('sample_store'), 'samples')::text").fetchone()
    table = sql.Identifier(row[0] if row else "samples")  # behind a view on TimescaleDB
    trigger = sql.SQL("create trigger refuse before insert on {} for each row execute function refuse()")
    superuser.execute(trigger.format(table))
    for seq in range(1, 40):
        value = 666.0 if seq == 23 else 1.0
        plant.send(batch_payload(["M-0/s0"], START_US + seq, [value], epoch="e", seq=seq))
    plant.settled()
    assert reasons(superuser) == {("poison", ""): 1}
    assert [at - START_US for _, at, _ in stored(superuser)] == [seq for seq in range(1, 40) if seq != 23]
    row = superuser.execute("select detail, payload from quarantine").fetchone()
    assert row is not None
    assert "no such value" in row[0]
    assert json.loads(row[1])["seq"] == 23


def test_history_may_be_of_any_time_and_twice_is_once(plant: Plant, superuser: Connection) -> None:
    old = to_us(from_us(START_US) - timedelta(days=40 * 365))
    for _ in range(2):
        plant.send(batch_payload(["M-0/s0"], old, [1.0, 2.0], hist=True))
        plant.settled()
    plant.send(batch_payload(["M-0/s0"], old, [1.0, 2.0]))
    plant.settled()
    assert [at - old for _, at, _ in stored(superuser)] == [0, 1_000_000]
    assert reasons(superuser) == {("implausible_time", "M-0/s0"): 2}


def test_rollups_and_last_values_follow(plant: Plant, superuser: Connection) -> None:
    plant.send(batch_payload(["M-0/s0"], START_US, range(100)))
    plant.settled()
    wait_until(lambda: count(superuser, "last_values") == 1, what="the last value")
    wait_until(lambda: count(superuser, "rollups where width_s = 60") >= 2, what="the rollup")
    assert superuser.execute("select value from last_values").fetchone() == (99.0,)
    assert superuser.execute("select sum(n)::int, max(high) from rollups where width_s = 60").fetchone() == (100, 99.0)


def test_the_detectors_and_the_screens_are_told(plant: Plant, database: Database, site: int) -> None:
    listener = database.connect()
    try:
        listener.execute("listen millwright_samples")
        listener.execute("listen millwright_live")
        plant.send(batch_payload(["M-0/s0"], START_US, [1.0]))
        heard = {(notice.channel, notice.payload) for notice in listener.notifies(timeout=10, stop_after=2)}
    finally:
        listener.close()
    assert ("millwright_samples", str(site)) in heard
    assert any(channel == "millwright_live" and json.loads(text)["topic"] == "telemetry" for channel, text in heard)


def test_the_ledger_is_folded_and_still_knows_what_came(
    plant: Plant, superuser: Connection, database: Database
) -> None:
    for seq in (1, 2, 3, 5):
        plant.send(batch_payload(["M-0/s0"], START_US + seq, [1.0], epoch="a", seq=seq))
    plant.settled()
    superuser.execute("update message_ledger set stored_at = now() - interval '8 days'")
    with database.ingest_tx() as conn:
        assert store.compact_ledger(conn, older_than=timedelta(days=7)) == 3
    assert superuser.execute("select through, messages, samples from ledger_marks").fetchall() == [(3, 3, 3)]
    with database.ingest_tx() as conn:
        assert store.ranges_of(conn, (1, "gw", "a")) == [(1, 3), (5, 5)]
    for seq in range(1, 7):
        plant.send(batch_payload(["M-0/s0"], START_US + 10 * seq, [1.0], epoch="a", seq=seq))
    plant.settled()
    assert count(superuser, "samples") == 4 + 2  # 4 and 6 are new
    with database.ingest_tx() as conn:
        assert store.compact_ledger(conn, older_than=timedelta(days=7)) == 0
    superuser.execute("update message_ledger set stored_at = now() - interval '8 days'")
    with database.ingest_tx() as conn:
        assert store.compact_ledger(conn, older_than=timedelta(days=7)) == 3
    assert superuser.execute("select through, messages, samples from ledger_marks").fetchall() == [(6, 6, 6)]
    assert count(superuser, "message_ledger") == 0


def test_a_full_inbox_holds_the_sender_back_and_loses_nothing(
    database: Database, site: int, superuser: Connection
) -> None:
    found = Plant(database, make_plant(database, site))
    found.pipeline.inbox._most_messages = 10
    sender = threading.Thread(
        target=lambda: [found.send(batch_payload(["M-0/s0"], START_US + n, [1.0])) for n in range(50)]
    )
    sender.start()
    wait_until(lambda: not found.pipeline.inbox.has_room(), what="filling up")
    assert found.sent <= 11
    found.start()
    sender.join(20)
    found.settled()
    found.end()
    assert len(stored(superuser)) == 50


def test_backfill_by_another_process_is_seen_by_this_one(
    plant: Plant, superuser: Connection, database: Database, site: int
) -> None:
    tag, signal_id = "M-0/s0", plant.tags["M-0/s0"]
    at_us = START_US + 1_000_000 * np.arange(1000, dtype=np.int64)
    columns = {tag: (at_us, np.arange(1000.0))}
    assert backfill.columns(database, site_id=site, source="gw", columns=columns).stored == 1000
    assert backfill.columns(database, site_id=site, source="gw", columns=columns).stored == 0
    wait_until(lambda: int(plant.pipeline.writer.newest.at_us[signal_id]) == at_us[-1], what="hearing of it")
    plant.send(batch_payload([tag], START_US, [0.0, 1.0]))
    plant.settled()
    assert len(stored(superuser)) == 1000
