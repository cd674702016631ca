"""Old data: the same day twice changes nothing, a call that is cut short goes on, rollups are made again."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection

from api.commands import backfill, backfill_map
from api.commands.backfill import Account
from core.database import Database
from ingest import backfill_runs
from ingest.backfill import BackfillLane, Totals, columns
from plant import bindings, rollups
from plant.model import Reading
from plant.units import WrongUnit
from tests.conftest import RunningBroker
from tests.integration.ingest_kit import batch_payload, make_plant, publisher, running_ingest, stored, wait_until

START = datetime(2024, 2, 29, 22, 30, tzinfo=UTC)
DAY_ROWS = 1_440


def table(folder: Path, *, rows: int = DAY_ROWS, name: str = "day.csv") -> Path:
    """Two signals of machine M-0 and one that nobody knows, a row a minute over midnight."""
    path = folder / name
    lines = [f"{(START + n * timedelta(minutes=1)).isoformat()},{20 + n / 8},{n % 7},{n}\n" for n in range(rows)]
    path.write_text("time,M-0/s0,M-0/s1,other\n" + "".join(lines))
    return path


def run(database: Database, site: int, path: Path, *words: str) -> Account:
    asked = backfill._parser().parse_args([str(path), "--source", "gw", *words])
    with ExitStack() as stack:
        report = backfill._report(asked.report, stack)
        plan = backfill_map.for_file(backfill_map.plan_of(asked), path)
        return backfill._Filing(database, site, plan, path, report).run(dry=asked.dry_run)


def roll(database: Database) -> None:
    with database.ingest_tx() as conn:
        while rollups.roll(conn, until_batch=2**62):
            pass


def all_of(database: Database, site: int) -> dict[str, list[tuple[object, ...]]]:
    """Samples, rollups and last values."""
    with database.tx(site_id=site) as conn:
        return {
            "samples": list(stored(conn)),
            "rollups": conn.execute(
                "select signal_id, width_s, bucket, n, mean, low, high, last from rollups order by 1, 2, 3"
            ).fetchall(),
            "last": conn.execute("select signal_id, at, value, quality from last_values order by 1").fetchall(),
            "quarantine": conn.execute("select reason, tag, readings from quarantine order by 1, 2").fetchall(),
        }


def test_the_same_day_twice_changes_nothing(database: Database, site: int, tmp_path: Path) -> None:
    make_plant(database, site)
    path = table(tmp_path)
    first = run(database, site, path)
    roll(database)
    kept = all_of(database, site)
    assert first.totals == Totals(2 * DAY_ROWS, 0, 0)
    assert (first.rows, first.samples, first.unbound) == (DAY_ROWS, 3 * DAY_ROWS, {"other": DAY_ROWS})
    assert len(kept["samples"]) == 2 * DAY_ROWS and kept["quarantine"] == []
    assert sum(int(str(row[3])) for row in kept["rollups"] if row[1] == 60) == 2 * DAY_ROWS

    again = run(database, site, path)
    roll(database)
    assert again.totals == Totals(0, 2 * DAY_ROWS, 0)
    assert all_of(database, site) == kept


def test_every_sample_keeps_its_value_and_time(database: Database, site: int, tmp_path: Path) -> None:
    tags = make_plant(database, site)
    run(database, site, table(tmp_path, rows=50))
    with database.tx(site_id=site) as conn:
        found = stored(conn)
    start_us = round(START.timestamp() * 1e6)
    assert [row[1:] for row in found if row[0] == tags["M-0/s0"]] == [
        (start_us + n * 60_000_000, 20 + n / 8) for n in range(50)
    ]


def test_a_dry_run_tells_and_leaves_no_trace(database: Database, site: int, tmp_path: Path) -> None:
    make_plant(database, site)
    (tmp_path / "m.toml").write_text('[tags.other]\nsignal = "M-0/s2"\nunit = "K"\n')
    told = run(database, site, table(tmp_path), "--dry-run", "--map", str(tmp_path / "m.toml"))
    assert told.bound == {"M-0/s0": DAY_ROWS, "M-0/s1": DAY_ROWS, "other": DAY_ROWS}
    assert told.first_us == round(START.timestamp() * 1e6)
    assert all_of(database, site) == {"samples": [], "rollups": [], "last": [], "quarantine": []}
    with database.tx(site_id=site) as conn:
        assert conn.execute("select count(*) from bindings where tag = 'other'").fetchone() == (0,)
        assert conn.execute("select count(*) from backfills").fetchone() == (0,)


def test_a_map_binds_with_unit_and_scale(database: Database, site: int, tmp_path: Path) -> None:
    tags = make_plant(database, site)
    (tmp_path / "m.toml").write_text('[tags.other]\nsignal = "M-0/s2"\nunit = "K"\nscale = 10.0\n')
    done = run(database, site, table(tmp_path, rows=5), "--map", str(tmp_path / "m.toml"))
    assert not done.unbound
    with database.tx(site_id=site) as conn:
        values = [value for signal_id, _, value in stored(conn) if signal_id == tags["M-0/s2"]]
    assert values == pytest.approx([10 * n - 273.15 for n in range(5)])


@pytest.mark.parametrize(
    ("signal", "unit", "says"),
    [("M-0/s9", "K", "no signal 's9'"), ("M-9/s0", "K", "no asset 'M-9'"), ("M-0/s2", "bar", "bar")],
)
def test_a_map_of_what_is_not_there_is_refused(
    database: Database, site: int, tmp_path: Path, signal: str, unit: str, says: str
) -> None:
    make_plant(database, site)
    (tmp_path / "m.toml").write_text(f'[tags.other]\nsignal = "{signal}"\nunit = "{unit}"\n')
    with pytest.raises((backfill_map.BadMap, WrongUnit), match=says):
        run(database, site, table(tmp_path), "--map", str(tmp_path / "m.toml"))
    assert all_of(database, site)["samples"] == []


def test_a_call_that_is_cut_short_goes_on_where_it_was(
    database: Database, site: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plant(database, site)
    path = table(tmp_path, rows=9 * DAY_ROWS)
    store, left = BackfillLane.store, [2]

    def breaks(
        lane: BackfillLane, readings: tuple[Reading, ...], *, also: Callable[[Connection], None] | None = None
    ) -> Totals:
        left[0] -= 1
        if left[0] < 0:
            raise psycopg.OperationalError("the server is gone")
        return store(lane, readings, also=also)

    monkeypatch.setattr(BackfillLane, "store", breaks)
    with pytest.raises(psycopg.OperationalError):
        run(database, site, path)
    monkeypatch.undo()
    stored_first = len(all_of(database, site)["samples"])
    assert 0 < stored_first < 2 * 9 * DAY_ROWS
    second = run(database, site, path)
    assert second.totals == Totals(2 * 9 * DAY_ROWS - stored_first, 0, 0), "nothing is looked up again"
    assert len(all_of(database, site)["samples"]) == 2 * 9 * DAY_ROWS
    assert run(database, site, path).totals.twins == 2 * 9 * DAY_ROWS, "a whole run is checked whole"


def test_another_file_or_another_way_of_reading_begins_anew(database: Database, site: int) -> None:
    one, other = (backfill_runs.Run(site, mark, "day.csv") for mark in ("a", "b"))
    with database.ingest_tx() as conn:
        backfill_runs.note(conn, one, rows=70)
        assert (backfill_runs.begun(conn, one), backfill_runs.begun(conn, other)) == (70, 0)
        backfill_runs.finish(conn, one)
        assert backfill_runs.begun(conn, one) == 0


def test_what_is_refused_is_reported_by_line(database: Database, site: int, tmp_path: Path) -> None:
    make_plant(database, site)
    path = tmp_path / "bad.csv"
    path.write_text(
        "time,M-0/s0\n2024-01-01T00:00:00Z,1\nyesterday,2\n2024-01-01T00:02:00Z,hot\n2024-01-01T00:03:00Z\n"
    )
    done = run(database, site, path, "--report", str(tmp_path / "r.csv"))
    assert (done.totals.stored, done.refused) == (1, 3)
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[1] for row in rows] == ["line", "3", "4", "5"]


def test_late_samples_make_the_rollups_of_their_hours_again(database: Database, site: int) -> None:
    """Data a day old, after their minutes and hours were rolled: as right as if they had come in time."""
    tags = make_plant(database, site, signals_each=1)
    start = round(START.timestamp() * 1e6)
    at = [start + n * 1_000_000 for n in range(7_200)]
    value = [float(n % 50) for n in range(7_200)]

    def send(rows: range) -> None:
        part = ([at[n] for n in rows], [value[n] for n in rows])
        columns(database, site_id=site, source="gw", columns={"M-0/s0": part})
        roll(database)

    send(range(0, 7_200, 2))
    send(range(7_199, 7_200))
    with database.ingest_tx() as conn:
        rollups.forget_batches(conn, older_than=timedelta(0))
    for part in (range(1, 3_000, 2), range(3_001, 7_199, 2)):
        send(part)
    late = all_of(database, site)["rollups"]
    with database.ingest_tx() as conn:
        conn.execute("delete from rollups")
        conn.execute("update ingest_batches set rolled = false")
        rollups.note(conn, [rollups.Touched(at[0], at[-1], (tags["M-0/s0"],), 7_200)])
    roll(database)
    assert all_of(database, site)["rollups"] == late
    assert sum(int(str(row[3])) for row in late if row[1] == 60) == 7_200


def test_history_over_the_wire_takes_the_same_lane(
    database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path
) -> None:
    """Times that no live sample may have; the same message under another number is stored once."""
    make_plant(database, site)
    old_us = round(datetime(1999, 12, 31, 23, 59, tzinfo=UTC).timestamp() * 1e6)
    values = [float(n) for n in range(120)]
    with running_ingest(database, mosquitto.port, tmp_path / "log"), publisher(mosquitto.port) as client:
        for epoch in ("a", "b"):
            payload = batch_payload(["M-0/s0"], old_us, values, epoch=epoch, seq=1, hist=True)
            client.publish("mw/v1/plant/gw/b", payload, qos=1)
        client.publish("mw/v1/plant/gw/b", batch_payload(["M-0/s1"], old_us, values, epoch="c", seq=1), qos=1)

        def settled() -> bool:
            kept = all_of(database, site)
            with database.tx(site_id=site) as conn:
                heard = conn.execute("select count(*) from message_ledger").fetchone()
            return heard == (3,) and len(kept["quarantine"]) == 1

        wait_until(settled, what="three messages")
    kept = all_of(database, site)
    assert [row[2] for row in kept["samples"]] == values
    assert kept["quarantine"] == [("implausible_time", "M-0/s1", 120)]


def test_a_renamed_tag_brings_the_same_signal(database: Database, site: int) -> None:
    tags = make_plant(database, site, signals_each=1)
    signal_id = tags["M-0/s0"]
    columns(database, site_id=site, source="gw", columns={"M-0/s0": ([1_000_000], [1.0])})
    with database.tx(site_id=site) as conn:
        assert bindings.move(conn, "gw", "M-0/s0", to_source="new-gw", to_tag="Pump/temp") == 1
    columns(database, site_id=site, source="new-gw", columns={"Pump/temp": ([2_000_000], [2.0])})
    columns(database, site_id=site, source="gw", columns={"M-0/s0": ([3_000_000], [3.0])})
    with database.tx(site_id=site) as conn:
        assert stored(conn) == [(signal_id, 1_000_000, 1.0), (signal_id, 2_000_000, 2.0)]


def test_a_renamed_device_takes_its_tags_along(database: Database, site: int) -> None:
    make_plant(database, site)
    with database.tx(site_id=site) as conn:
        assert bindings.move(conn, "gw", to_source="gw-2") == 3
        assert {each.source for each in bindings.listed(conn)} == {"gw-2"}
        with pytest.raises(bindings.TagNotBound):
            bindings.move(conn, "gw", "M-0/s0", to_source="gw-3")
        with pytest.raises(bindings.TagTaken):
            bindings.move(conn, "gw-2", "M-0/s0", to_source="gw-2", to_tag="M-0/s1")
        bindings.unbind(conn, "gw-2", "M-0/s0")
        assert len(bindings.listed(conn, source="gw-2")) == 2
