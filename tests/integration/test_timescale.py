"""What holds only where the server has TimescaleDB: run with TEST_DATABASE_URL; the embedded server has none."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import psycopg
import pytest
from psycopg import Connection, errors

from core.database import Database, migrate
from plant import engine, retention, rollups, telemetry
from plant.assets import create_asset, create_signal
from plant.engine import Kind
from plant.model import SampleBatch
from plant.tiers import Tier
from plant.times import DAY_US, to_us

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
START = to_us(datetime(2026, 6, 10, tzinfo=UTC))


@pytest.fixture
def licence(superuser: Connection) -> str:
    """`timescale` or `apache`."""
    row = superuser.execute(
        "select current_setting('timescaledb.license', true) from pg_extension where extname = 'timescaledb'"
    ).fetchone()
    if row is None:
        pytest.skip("This server has no TimescaleDB. Name one that has in TEST_DATABASE_URL.")
    return str(row[0])


@pytest.fixture
def full(licence: str) -> None:
    if licence != "timescale":
        pytest.skip("This edition of TimescaleDB has no columnstore.")


@pytest.fixture
def signal_ids(database: Database, site: int) -> list[int]:
    with database.tx(site_id=site) as conn:
        asset_id = create_asset(conn, code="P-1", name="Pump", asset_class="pump")
        return [
            create_signal(conn, asset_id=asset_id, code=quantity, name="T", quantity=quantity, unit=unit)
            for quantity, unit in (("temperature", "°C"), ("pressure", "bar"))
        ]


def store(database: Database, site: int, signal_ids: list[int], *, offset_us: int = 0, each: int = 20_000) -> None:
    """One big COPY, sorted by signal and time."""
    count = each * len(signal_ids)
    batch = SampleBatch(
        np.repeat(np.array(signal_ids, np.int32), each),
        np.tile(START + offset_us + np.arange(each, dtype=np.int64) * 1_000_000, len(signal_ids)),
        np.arange(count, dtype=np.float64),
        np.zeros(count, np.uint8),
    )
    with database.ingest_tx() as conn:
        telemetry.ensure_days(conn, [START // DAY_US])
        telemetry.write(conn, batch, site_ids=np.full(count, site, np.int16))
        rollups.note(conn, rollups.touched(batch))


def compressed_rows(superuser: Connection) -> int:
    """Batches in the columnstore."""
    found = superuser.execute(
        """select c.oid::regclass::text from pg_class c
           where c.relkind = 'r' and c.relname like '%\\_chunk\\_compressed'"""
    ).fetchall()
    if not found:
        return 0
    ((name,),) = found
    row = superuser.execute(f"select count(*) from {name}").fetchone()  # noqa: S608 - the catalogue's name
    return int(row[0]) if row else 0


def test_every_feature_says_whether_it_is_on(database: Database, licence: str) -> None:
    with database.tx() as conn:
        features = {feature.name: feature for feature in engine.describe(conn)}
        kind = engine.kind_of(conn)
    assert features["hypertable"].on
    for name in ("columnstore", "direct_compress", "columnstore_policy"):
        assert features[name].on is (licence == "timescale")
        assert features[name].code == ("on" if licence == "timescale" else "licence")
    assert kind is (Kind.COMPRESSING if licence == "timescale" else Kind.HYPERTABLE)
    assert all(feature.sentence["en"] and feature.sentence["zh"] for feature in features.values())


def test_to_start_again_changes_nothing(database: Database, site: int, signal_ids: list[int], licence: str) -> None:
    store(database, site, signal_ids, each=10)
    migrate(database.owner_dsn)
    with database.tx(site_id=site) as conn:
        assert engine.describe(conn)[0].on
        assert conn.execute("select count(*) from samples").fetchone() == (20,)


def test_nobody_reads_past_the_barrier(database: Database, site: int, signal_ids: list[int], licence: str) -> None:
    store(database, site, signal_ids, each=10)
    with database.ingest_tx() as conn:
        (chunk,) = conn.execute("select part::text from sample_days()").fetchone() or ("",)
    for table in ("sample_store", chunk):
        with pytest.raises(errors.InsufficientPrivilege), database.tx(site_id=site) as conn:
            conn.execute(f"select count(*) from {table}")  # noqa: S608 - the catalogue's name
    with database.tx(site_id=site + 1) as conn:
        assert conn.execute("select count(*) from samples").fetchone() == (0,)
        # a function that leaks must not be called on rows of another site
        conn.execute("create function pg_temp.leak(float8) returns boolean language plpgsql cost 0.0001 as "
                     "$$ begin raise exception 'saw %', $1; end $$")  # fmt: skip
        assert conn.execute("select count(*) from samples where pg_temp.leak(value)").fetchone() == (0,)
    with pytest.raises(errors.InsufficientPrivilege), database.tx(site_id=site) as conn:
        conn.execute("insert into samples values (now(), 1, 1, 0, %s)", (site,))


@pytest.mark.usefixtures("full")
def test_a_big_copy_goes_in_compressed_and_comes_back_in_order(
    database: Database, site: int, signal_ids: list[int], superuser: Connection
) -> None:
    store(database, site, signal_ids)
    batches = compressed_rows(superuser)
    assert batches >= 40
    store(database, site, signal_ids, offset_us=500_000)  # overlaps all of them
    store(database, site, signal_ids, offset_us=700_000, each=5)  # too small: lies beside them
    assert compressed_rows(superuser) > batches
    with database.tx(site_id=site) as conn:
        rows = telemetry.read_frame_samples(conn, signal_ids, START - 1, START + DAY_US)
        series = telemetry.read(
            conn, signal_ids[:1], NOW.replace(day=10, hour=0), NOW.replace(day=11, hour=0),
            resolution=telemetry.Resolution.RAW, max_points=10**6,
        )[signal_ids[0]]  # fmt: skip
    assert len(rows) == 2 * (40_000 + 5)
    assert (np.diff(rows.at_us) >= 0).all()
    assert len(series.at_us) == 40_005
    assert (np.diff(series.at_us) > 0).all()


@pytest.mark.usefixtures("full")
def test_a_class_leaves_a_compressed_day_without_unpacking_it(
    database: Database, site: int, signal_ids: list[int], superuser: Connection
) -> None:
    store(database, site, signal_ids)
    batches = compressed_rows(superuser)
    with database.ingest_tx() as conn:
        while rollups.roll(conn, until_batch=2**62):
            pass
    with database.tx(site_id=site) as conn:
        retention.replace(conn, [Tier("*", None, None, None, 9), Tier("temperature", 2, None, None, 9)])
    more = True
    while more:
        with database.ingest_tx() as conn:
            more = retention.apply(conn, now=NOW).more
    assert compressed_rows(superuser) == batches // 2
    with database.tx(site_id=site) as conn:
        found = conn.execute("select signal_id, count(*) from samples group by 1").fetchall()
    assert found == [(signal_ids[1], 20_000)]
    with database.ingest_tx() as conn:
        assert telemetry.drop_before(conn, date(2026, 6, 11)) == 1


def test_native_samples_are_never_replaced(database: Database, superuser: Connection) -> None:
    """The extension comes after the samples: they stay where they are."""
    if superuser.execute("select 1 from pg_available_extensions where name = 'timescaledb'").fetchone() is None:
        pytest.skip("This server does not offer TimescaleDB.")
    superuser.execute("drop view samples; drop table sample_store")
    superuser.execute(
        """create table samples (at timestamptz not null, value float8 not null, signal_id int not null,
             quality smallint not null, site_id smallint not null) partition by range (at);
           alter table samples owner to millwright_owner;
           alter table samples enable row level security; alter table samples force row level security;
           create policy ingest on samples to millwright_ingest using (true) with check (true);
           grant select, insert on samples to millwright_ingest"""
    )
    for _ in range(2):
        with psycopg.connect(database.owner_dsn) as owner:
            owner.execute("select ensure_sample_partition('2026-06-10')")
        with database.ingest_tx() as conn:
            conn.execute("insert into samples_20260610 values ('2026-06-10T01:00Z', 1, 1, 0, 1)")
        migrate(database.owner_dsn)
        with database.ingest_tx() as conn:
            assert conn.execute("select code from store_features where name = 'hypertable'").fetchone() == (
                "native_samples",
            )
    with database.ingest_tx() as conn:
        assert conn.execute("select count(*) from samples").fetchone() == (2,)
