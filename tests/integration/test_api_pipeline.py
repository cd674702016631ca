"""How the data come in, as planners, machines and the doctor are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from api import doctor_pipeline
from api.checks import State
from core.embedded import EmbeddedServer
from core.tls import Authority
from edge.codecs import health
from ingest import accounts, faults, store
from ingest.counts import Counted
from plant import assets
from tests.api_world import API, World, cloned, living


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("data")) as found:
        fill(found)
        yield found


def fill(world: World) -> None:
    with world.database.tx(site_id=world.alpha) as conn:
        conn.execute("insert into devices (name, secret_hash) values ('gw', 'x'), ('quiet', 'x'), ('fresh', 'x')")
    with world.database.ingest_tx() as conn:
        conn.execute(
            """insert into device_denials (site_id, device_id, minute, count, topic)
               select site_id, device_id, now(), 7, 'mw/v1/alpha/other/b' from devices where name = 'quiet'"""
        )
        accounts.count(conn, [
            Counted(world.alpha, "gw", heard=120, messages=12, repeated=10, samples=90, quarantined=15, twins=5),
            Counted(world.alpha, "quiet", heard=5, messages=5, unsequenced=5, samples=5),
        ])  # fmt: skip
        accounts.fold(conn)
        counts = store.Counts(messages=3, samples=90, last_sample_us=1_767_225_600_000_000, lag_s=42.5, rate=9.0)
        store.write_status(conn, {(world.alpha, "gw"): counts}, most_lag_s=10.0)
        store.write_status(conn, {(world.alpha, "quiet"): store.Counts(messages=1)}, most_lag_s=10.0)
        behind = [health.Heard("press", "opcua", "lost", 0, 0.0)]
        told = health.State("e1", 12, 130, 2, 0.85, 1, behind)
        accounts.write_report(conn, world.alpha, "gw", told)
        accounts.write_report(conn, world.alpha, "gw", health.State("e1", 3, 30, 0, 0.0, 0, []))  # older: no effect
        store.record_messages(
            conn, [(world.alpha, "gw", "e1", seq) for seq in (*range(1, 6), *range(8, 13))], [11] * 10
        )
        accounts.write_missing(conn, {(world.alpha, "gw"): 2})
        conn.execute(
            "update source_status set state = 'silent', last_heard_at = now() - interval '5 min' where source = 'quiet'"
        )
        conn.execute("update source_status set lagging_since = now() - interval '2 min' where source = 'gw'")
        conn.execute(
            "insert into ingest_drops (site, device, reason, count) values ('nowhere', 'x', 'unknown_site', 3)"
        )


def test_the_health_of_every_source(world: World) -> None:
    found = world.as_("planner").get(f"{API}/pipeline").json()
    assert found["many"] is None
    rows = {each["source"]: each for each in found["sources"]}
    assert set(rows) == {"gw", "quiet", "fresh"}
    gateway = rows["gw"]
    assert (gateway["state"], gateway["lag_s"], gateway["missing"], gateway["samples"]) == ("heard", 42.5, 2, 90)
    assert (gateway["quarantined"], gateway["duplicates"]) == (15, 15)
    assert gateway["gateway"]["waiting"] == 2 and gateway["gateway"]["sources"][0]["state"] == "lost"
    assert (rows["quiet"]["state"], rows["quiet"]["denied"]) == ("silent", 7)
    assert (rows["fresh"]["state"], rows["fresh"]["last_seen"]) == ("new", None)
    assert world.as_("stranger").get(f"{API}/pipeline").json()["sources"] == []
    assert world.as_("engineer").get(f"{API}/pipeline").status_code == 403


def test_what_does_not_add_up_is_named(world: World) -> None:
    found = {each["source"]: each for each in world.as_("manager").get(f"{API}/pipeline/reconcile").json()["items"]}
    assert found["quiet"]["balances"] and found["quiet"]["sent"] == 5
    gateway = found["gw"]
    assert (gateway["sent"], gateway["difference"], gateway["balances"]) == (130, 20, False)
    assert gateway["missing"] == [{"epoch": "e1", "low": 6, "high": 7}] and gateway["waiting"] == 2
    asked = {"source": "quiet", "since": "2026-01-01T00:00:00Z"}
    alone = world.as_("manager").get(f"{API}/pipeline/reconcile", params=asked)
    assert [each["source"] for each in alone.json()["items"]] == ["quiet"]


def test_a_planner_says_that_a_tag_comes_when_it_changes(world: World) -> None:
    with world.database.tx(site_id=world.alpha) as conn:
        asset_id = assets.create_asset(conn, code="P-9", name="Pump", asset_class="pump")
        for code in ("a", "b"):
            signal_id = assets.create_signal(
                conn, asset_id=asset_id, code=code, name=code, quantity="flow", unit="m3/h"
            )
            assets.bind(conn, source="gw", tag=f"P-9/{code}", signal_id=signal_id)
    planner, path = world.as_("planner"), f"{API}/pipeline/gw/report"
    assert planner.put(path, json={"report": "periodic"}).json() == {"tags": 2}
    assert planner.put(path, json={"tag": "P-9/a", "report": "on_change"}).json() == {"tags": 1}
    assert planner.put(path, json={"tag": "nobody", "report": None}).status_code == 404
    assert planner.put(path, json={"report": "sometimes"}).status_code == 422
    assert world.as_("engineer").put(path, json={"report": None}).status_code == 403
    with world.database.ingest_tx() as conn:
        found = {each.every_s for each in faults.tags(conn, factor=2.0) if each.source == "gw"}
    assert found == {None, 0.5}


def test_machines_are_told_with_bounded_labels(world: World) -> None:
    text = world.as_(None).get("/metrics").text
    for line in (
        'millwright_source_quarantined{site="alpha",source="gw"} 15.0',
        'millwright_source_missing{site="alpha",source="gw"} 2.0',
        'millwright_source_denied{site="alpha",source="quiet"} 7.0',
        'millwright_source_spool_share_full{site="alpha",source="gw"} 0.85',
        'millwright_source_late{site="alpha",source="gw"} 1.0',
        'millwright_sources{site="alpha",state="silent"} 1.0',
        'millwright_sources{site="beta",state="silent"} 0.0',
    ):
        assert line in text


def test_the_doctor_says_what_to_do(world: World) -> None:
    with world.database.tx() as conn:
        found = doctor_pipeline.checks(conn)
    said = {each.name: each for each in found if each.state is not State.OK}
    assert "quiet (for 5 min) is silent." in said["sources"].sentence
    assert "gw (42 s)" in said["lag"].sentence
    assert said["gateway"].state is State.FAIL and "85% full; 2 batches wait" in said["gateway"].sentence
    assert "gw (2)" in said["gaps"].sentence
    assert "quiet (7)" in said["broker"].sentence
    assert "nowhere/x (3 unknown_site)" in said["dropped"].sentence
    assert all(each.remedy for each in said.values())
    assert any(each.name == "store" for each in found)


def test_the_doctor_sees_the_brokers_certificate_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor_pipeline.broker_certificate(tmp_path) == []
    Authority(tmp_path).server(["localhost"])
    assert doctor_pipeline.broker_certificate(tmp_path) == []
    monkeypatch.setattr(doctor_pipeline, "RENEW_LATEST", timedelta(days=36_500))
    (found,) = doctor_pipeline.broker_certificate(tmp_path)
    assert found.state is State.WARN and found.remedy
