"""The routes of every room on a living database: shapes, scopes, versions, what another site must not see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import Connection

from api import identity
from core.clock import wall_now
from core.database import Database
from plant import telemetry
from plant.model import SampleBatch
from tests.api_world import API, World, living, problem
from tickets import seed

PUMP = {
    "code": "P-101",
    "name": "Feed pump",
    "asset_class": "pump",
    "criticality": 4,
    "location": "Hall 1",
    "parent_code": "L-1",
    "signals": [
        {
            "code": "vibration", "name": "Vibration", "quantity": "vibration_velocity", "unit": "mm/s", "low": 0,
            "high": 50, "period_s": 60, "role": "measured", "source": "gateway-1", "tag": "P-101/vibration",
        },
        {"code": "state", "quantity": "state", "unit": "", "role": "state", "source": "gateway-1", "tag": "P-101/run"},
    ],
}  # fmt: skip


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    with living(database, tmp_path) as running:
        for site_id in (running.alpha, running.beta):
            with database.tx(site_id=site_id) as conn:
                seed.seed_site(conn)
        yield running


@pytest.fixture
def pump(world: World) -> dict[str, Any]:
    """The imported pump's detail."""
    made = world.as_("planner").post(f"{API}/assets/import", json={"assets": [PUMP]})
    assert made.status_code == 200, made.text
    found: dict[str, Any] = world.as_("planner").get(f"{API}/assets/{made.json()['asset_ids']['P-101']}").json()
    return found


def engineer_id(world: World) -> int:
    body = {"login": "engineer", "name": "Eve", "skills": {"mechanical": 3}, "shifts": "always"}
    made = world.as_("planner").post(f"{API}/engineers", json=body)
    assert made.status_code == 200, made.text
    return int(made.json()["engineer_id"])


def opened(world: World, by: str = "planner", **more: Any) -> dict[str, Any]:
    body = {"kind": "corrective", "title": "Noise", **more}
    made = world.as_(by).post(f"{API}/tickets", json=body)
    assert made.status_code in (200, 201), made.text
    found: dict[str, Any] = made.json()
    return found


def test_an_import_is_idempotent_and_shows_in_the_tree(world: World, pump: dict[str, Any]) -> None:
    planner = world.as_("planner")
    again = planner.post(f"{API}/assets/import", json={"assets": [PUMP]})
    assert again.json() == {"assets": 1, "signals": 2, "asset_ids": {"P-101": pump["asset_id"]}}
    items = planner.get(f"{API}/assets").json()["items"]
    assert [item["code"] for item in items] == ["L-1", "P-101"]
    assert pump["health"] == "unknown" and pump["last_seen"] is None and pump["open_tickets"] == 0
    assert [signal["code"] for signal in pump["signals"]] == ["vibration", "state"]
    assert planner.get(f"{API}/signals", params={"q": "p-101 vibr"}).json()["items"][0]["code"] == "vibration"


def test_assets_are_made_and_changed(world: World, pump: dict[str, Any]) -> None:
    planner = world.as_("planner")
    made = planner.post(f"{API}/assets", json={"code": "M-1", "name": "Motor", "asset_class": "motor"})
    assert made.status_code == 201, made.text
    assert problem(planner.post(f"{API}/assets", json={"code": "M-1", "name": "Motor"}))["code"] == "code_taken"
    asset_id = made.json()["asset_id"]
    changed = planner.patch(f"{API}/assets/{asset_id}", json={"criticality": 5})
    assert (changed.json()["criticality"], changed.json()["name"]) == (5, "Motor")
    signal = {"code": "speed", "name": "Speed", "quantity": "rotational_speed", "unit": "rpm", "role": "setpoint"}
    assert planner.post(f"{API}/assets/{asset_id}/signals", json=signal).status_code == 201
    wrong = planner.post(f"{API}/assets/{asset_id}/signals", json=signal | {"code": "t", "unit": "°C"})
    assert wrong.status_code == 422, wrong.text
    assert problem(planner.patch(f"{API}/assets/{asset_id}", json={}))["code"] == "empty_change"


def test_a_series_comes_in_columns_with_null_for_what_is_no_number(world: World, pump: dict[str, Any]) -> None:
    signal_id = pump["signals"][0]["signal_id"]
    now = wall_now()
    start_us = telemetry.to_us(now) - 600_000_000
    at = start_us + np.arange(10, dtype=np.int64) * 60_000_000
    batch = SampleBatch(np.full(10, signal_id, np.int32), at, np.linspace(1, 2, 10), np.zeros(10, np.uint8))
    with world.database.ingest_tx() as conn:
        telemetry.ensure_days(conn, {int(each) for each in at // telemetry.DAY_US})
        telemetry.write(conn, batch, site_ids=np.full(10, world.alpha, np.int16))
    span = {"start": (now - timedelta(minutes=15)).isoformat()}
    found = world.as_("engineer").get(f"{API}/signals/{signal_id}/series", params=span).json()
    assert found["unit"] == "mm/s" and found["resolution"] == "raw"
    assert found["at"] == (at // 1000).tolist() and found["value"] == pytest.approx(np.linspace(1, 2, 10).tolist())
    assert set(found["bands"]) == {"at", "low", "expected", "high"}
    later = {"start": (now + timedelta(hours=1)).isoformat(), "end": now.isoformat()}
    assert world.as_("engineer").get(f"{API}/signals/{signal_id}/series", params=later).status_code == 422
    assert world.as_("stranger").get(f"{API}/signals/{signal_id}/series").status_code == 404


@pytest.mark.parametrize(
    "when",
    ["2026-01-01T00:00:00", "1601-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
     "1767225600", "yesterday", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00.123456789012Z", "\x00"],
)  # fmt: skip
def test_a_strange_time_is_a_clear_error(world: World, pump: dict[str, Any], when: str) -> None:
    path = f"{API}/signals/{pump['signals'][0]['signal_id']}/series"
    assert problem(world.as_("planner").get(path, params={"end": when}))["status"] == 422


def test_a_ticket_goes_its_way_by_version(world: World, pump: dict[str, Any]) -> None:
    eve = engineer_id(world)
    ticket = opened(world, asset_id=pump["asset_id"], mode="bearing_wear", priority=2)
    path, planner, engineer = f"{API}/tickets/{ticket['ticket_id']}", world.as_("planner"), world.as_("engineer")
    assert ticket["mode"]["name"]["zh"] and ticket["asset"]["code"] == "P-101"
    assert {each["kind"] for each in ticket["sla"]} == {"response", "resolution"}
    assert ticket["articles"], "the shipped guides cover bearing wear of pumps"
    if ticket["assignee"] is None:
        ticket = planner.post(
            f"{path}/assign", json={"engineer_id": eve}, headers={"If-Match": f'"{ticket["version"]}"'}
        ).json()
    assert ticket["assignee"] == {"engineer_id": eve, "name": "Eve"}
    assert planner.get(f"{API}/assets/{pump['asset_id']}").json()["open_tickets"] == 1
    mine = engineer.get(f"{API}/tickets", params={"assignee": "me", "open": "true"}).json()["items"]
    assert [each["ticket_id"] for each in mine] == [ticket["ticket_id"]]

    missing = engineer.post(f"{path}/transition", json={"to": "accepted"})
    assert problem(missing)["code"] == "if_match_missing" and missing.status_code == 428
    accepted = engineer.post(
        f"{path}/transition", json={"to": "accepted"}, headers={"If-Match": f'"{ticket["version"]}"'}
    )
    assert accepted.status_code == 200, accepted.text
    assert accepted.headers["etag"] == f'"{accepted.json()["version"]}"'
    stale = engineer.post(f"{path}/transition", json={"to": "arrived"}, headers={"If-Match": f'"{ticket["version"]}"'})
    assert stale.status_code == 412 and problem(stale)["current"]["version"] == accepted.json()["version"]
    illegal = engineer.post(f"{path}/transition", json={"to": "closed"}, headers={"If-Match": accepted.headers["etag"]})
    assert problem(illegal)["status"] in (403, 409)
    arrived = engineer.post(
        f"{path}/transition", json={"to": "arrived"}, headers={"If-Match": accepted.headers["etag"]}
    )
    bare = engineer.post(f"{path}/transition", json={"to": "done"}, headers={"If-Match": arrived.headers["etag"]})
    assert problem(bare)["code"] == "missing_fields"
    done = next(each for each in arrived.json()["allowed"] if each["to"] == "done")
    assert "verdict" in done["requires"] and "note" in done["requires"]
    given = {"verdict": "confirmed", "failure_code": "bearing_wear", "note": "new bearing"}
    finished = engineer.post(
        f"{path}/transition", json={"to": "done", "fields": given}, headers={"If-Match": arrived.headers["etag"]}
    )
    assert finished.status_code == 200, finished.text
    assert finished.json()["verdict"] == "confirmed"

    said = engineer.post(f"{path}/comments", json={"text": "tested", "audience": "internal"})
    assert said.status_code == 201 and said.json()["kind"] == "comment"
    events = planner.get(f"{path}/events", params={"limit": 2}).json()
    assert [each["seq"] for each in events["items"]] == [1, 2]
    following = planner.get(f"{path}/events", params={"limit": 200, "cursor": events["next"]}).json()
    assert following["items"][0]["seq"] == 3 and following["items"][-1]["hash"] == said.json()["hash"]


def test_one_fault_has_one_open_order(world: World, pump: dict[str, Any]) -> None:
    body = {"kind": "corrective", "title": "Noise", "asset_id": pump["asset_id"], "mode": "bearing_wear"}
    first, second = (world.as_("planner").post(f"{API}/tickets", json=body) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["ticket_id"] == second.json()["ticket_id"]


def test_a_patch_needs_and_gives_a_version(world: World) -> None:
    ticket = opened(world)
    path, planner = f"{API}/tickets/{ticket['ticket_id']}", world.as_("planner")
    assert planner.patch(path, json={"title": "x"}).status_code == 428
    assert problem(planner.patch(path, json={"title": "x"}, headers={"If-Match": "nonsense"}))["status"] == 422
    changed = planner.patch(
        path, json={"title": "Louder", "priority": 1}, headers={"If-Match": f'"{ticket["version"]}"'}
    )
    assert changed.json()["title"] == "Louder" and changed.json()["version"] == ticket["version"] + 1
    assert planner.patch(path, json={"title": None}, headers={"If-Match": changed.headers["etag"]}).status_code == 422


def test_engineers_move_only_their_own(world: World) -> None:
    engineer_id(world)
    with world.database.tx() as conn:
        identity.create_user(conn, login="other", name="Other", role="engineer", site_id=world.alpha)
        world.tokens["other"] = identity.create_token(conn, "other", name="t", now=wall_now())
    ticket = opened(world)
    path, version = f"{API}/tickets/{ticket['ticket_id']}", {"If-Match": f'"{ticket["version"]}"'}
    other = world.as_("other")
    assert problem(other.post(f"{path}/transition", json={"to": "accepted"}, headers=version))["code"] == "not_yours"
    assert problem(other.patch(path, json={"description": "x"}, headers=version))["code"] == "not_yours"
    assert other.post(f"{path}/assign", json={"engineer_id": None}, headers=version).status_code == 403
    assert other.get(path).status_code == 200


def test_a_requester_sees_only_their_own_requests(world: World) -> None:
    crew = opened(world)
    requester = world.as_("requester")
    mine = requester.post(f"{API}/tickets", json={"kind": "request", "title": "Please look"})
    assert mine.status_code == 201, mine.text
    assert problem(requester.post(f"{API}/tickets", json={"kind": "preventive", "title": "x"}))["status"] == 403
    hidden, missing = (requester.get(f"{API}/tickets/{each}") for each in (crew["ticket_id"], 999_999))
    assert (hidden.status_code, missing.status_code) == (404, 404)
    listed = requester.get(f"{API}/tickets").json()["items"]
    assert [each["ticket_id"] for each in listed] == [mine.json()["ticket_id"]]
    path = f"{API}/tickets/{mine.json()['ticket_id']}"
    world.as_("planner").post(f"{path}/comments", json={"text": "secret plan", "audience": "internal"})
    world.as_("planner").post(f"{path}/comments", json={"text": "we are coming", "audience": "requester"})
    told = requester.get(f"{path}/events").text
    assert "we are coming" in told and "secret plan" not in told
    assert requester.post(f"{path}/comments", json={"text": "thanks"}).status_code == 201


def test_another_sites_things_are_missing(world: World, pump: dict[str, Any]) -> None:
    ticket, stranger = opened(world, asset_id=pump["asset_id"]), world.as_("stranger")
    signal_id = pump["signals"][0]["signal_id"]
    version = {"If-Match": '"1"'}
    calls: list[tuple[str, str, Any, dict[str, str]]] = [
        ("GET", "/assets/{asset}", None, {}),
        ("PATCH", "/assets/{asset}", {"name": "x"}, {}),
        ("POST", "/assets/{asset}/signals", {"code": "x", "name": "x", "quantity": "ratio", "unit": "%"}, {}),
        ("GET", "/signals/{signal}/series", None, {}),
        ("GET", "/tickets/{ticket}", None, {}),
        ("GET", "/tickets/{ticket}/events", None, {}),
        ("PATCH", "/tickets/{ticket}", {"title": "x"}, version),
        ("POST", "/tickets/{ticket}/transition", {"to": "cancelled"}, version),
        ("POST", "/tickets/{ticket}/assign", {}, version),
        ("POST", "/tickets/{ticket}/comments", {"text": "x"}, {}),
        ("POST", "/tickets", {"kind": "request", "title": "x", "asset_id": "{asset}"}, {}),
        ("POST", "/assets", {"code": "x", "name": "x", "parent_id": "{asset}"}, {}),
    ]
    for method, path, body, headers in calls:
        theirs = {"asset": pump["asset_id"], "signal": signal_id, "ticket": ticket["ticket_id"]}
        nobodys = dict.fromkeys(theirs, 987_654)
        answers = [
            stranger.request(method, API + path.format(**ids), json=_filled(body, ids), headers=headers)
            for ids in (theirs, nobodys)
        ]
        details = [
            problem(answer)["detail"].replace(str(number), "N")
            for answer, ids in zip(answers, (theirs, nobodys), strict=True)
            for number in [max(ids.values())]
        ]
        assert [answer.status_code for answer in answers] == [404, 404], (method, path, answers[0].text)
        assert len({"".join(c for c in detail if not c.isdigit()).replace("N", "") for detail in details}) == 1, details
    assert stranger.get(f"{API}/assets").json()["items"] == []
    assert stranger.get(f"{API}/tickets").json()["items"] == []
    assert "P-101" not in stranger.get(f"{API}/signals").text


def _filled(body: Any, ids: dict[str, int]) -> Any:
    if not isinstance(body, dict):
        return body
    return {key: ids["asset"] if value == "{asset}" else value for key, value in body.items()}


def quarantined(database: Database, site_id: int, *, reason: str, tag: str, payload: bytes = b"{}") -> None:
    with database.ingest_tx() as conn:
        conn.execute(
            """insert into quarantine (site_id, reason, source, tag, topic, payload)
               values (%s, %s, 'gateway-1', %s, 't', %s)""",
            (site_id, reason, tag, payload),
        )


def test_quarantine_is_grouped_bound_and_dismissed(world: World, pump: dict[str, Any], superuser: Connection) -> None:
    for payload in (b'{"v": 1}', b'{"v": 2}', b"\xff\x00 no json"):
        quarantined(world.database, world.alpha, reason="unknown_tag", tag="P-101/new", payload=payload)
    quarantined(world.database, world.alpha, reason="malformed", tag="", payload=b"\xff\x00 {")
    quarantined(world.database, world.beta, reason="malformed", tag="secret")
    planner = world.as_("planner")
    groups = planner.get(f"{API}/quarantine").json()["items"]
    assert [(each["reason"], each["count"], each["bindable"]) for each in groups] == [
        ("malformed", 1, False),
        ("unknown_tag", 3, True),
    ]
    assert groups[1]["sample"]["payload"] == {"v": 1} and groups[1]["detail"]["zh"]
    assert world.as_("engineer").get(f"{API}/quarantine").status_code == 403
    signal = pump["signals"][0]["signal_id"]
    path = f"{API}/quarantine/{groups[1]['quarantine_id']}"
    assert planner.post(f"{path}/bind", json={"signal_id": 987_654}).status_code == 404
    assert planner.post(f"{path}/bind", json={"signal_id": signal, "unit": "°C"}).status_code == 422
    bound = planner.post(f"{path}/bind", json={"signal_id": signal, "scale": 2})
    assert bound.json()["tag"] == "P-101/new", bound.text
    malformed = f"{API}/quarantine/{groups[0]['quarantine_id']}"
    assert problem(planner.post(f"{malformed}/bind", json={"signal_id": signal}))["code"] == "not_bindable"
    assert planner.post(f"{malformed}/dismiss").json() == {"dismissed": 1}
    assert world.as_("stranger").post(f"{path}/dismiss").status_code == 404
    assert superuser.execute("select count(*) from quarantine where settled_at is not null").fetchone() == (1,)


def test_devices_are_registered_and_revoked(world: World, database: Database) -> None:
    admin = world.as_("admin")
    with database.connect() as listening:
        listening.execute("listen millwright_devices")
        made = admin.post(f"{API}/devices", json={"name": "gateway-1"})
        told = list(listening.notifies(timeout=5, stop_after=1))
    assert [each.payload for each in told] == [str(world.alpha)]
    assert made.status_code == 201 and len(made.json()["secret"]) >= 24
    assert problem(admin.post(f"{API}/devices", json={"name": "gateway-1"}))["code"] == "device_exists"
    taken = world.as_("stranger").post(f"{API}/devices", json={"name": "gateway-1"})
    assert problem(taken)["code"] == "device_exists", "a broker user has no site, so two sites cannot share a name"
    rows = admin.get(f"{API}/devices")
    assert made.json()["secret"] not in rows.text
    device_id = made.json()["device_id"]
    assert world.as_("stranger").delete(f"{API}/devices/{device_id}").status_code == 404
    assert admin.delete(f"{API}/devices/{device_id}").status_code == 204
    assert admin.delete(f"{API}/devices/{device_id}").status_code == 404
    assert admin.post(f"{API}/devices", json={"name": "gateway-1"}).status_code == 201


def test_notices_are_mine_alone(world: World, pump: dict[str, Any]) -> None:
    eve = engineer_id(world)
    ticket = opened(world, kind="corrective")
    if ticket["assignee"] is None:
        version = {"If-Match": f'"{ticket["version"]}"'}
        world.as_("planner").post(
            f"{API}/tickets/{ticket['ticket_id']}/assign", json={"engineer_id": eve}, headers=version
        )
    engineer = world.as_("engineer")
    notices = engineer.get(f"{API}/notifications", params={"unread": "true"}).json()["items"]
    assert notices and notices[0]["title"]["zh"] and notices[0]["read_at"] is None
    path = f"{API}/notifications/{notices[0]['notification_id']}/read"
    assert world.as_("manager").post(path).status_code == 404
    assert engineer.post(path).status_code == 204
    assert engineer.get(f"{API}/notifications", params={"unread": "true"}).json()["items"] == notices[1:]


def test_guides_modes_engineers_detectors_system(world: World) -> None:
    engineer_id(world)
    planner = world.as_("planner")
    guides = planner.get(f"{API}/articles", params={"asset_class": "pump"}).json()["items"]
    assert planner.get(f"{API}/articles/{guides[0]['article_id']}").json()["body"]["zh"]
    modes = planner.get(f"{API}/modes", params={"asset_class": "pump"}).json()["items"]
    assert {"bearing_wear", "cavitation", "unknown"} <= {each["code"] for each in modes}
    crew = planner.get(f"{API}/engineers").json()["items"]
    assert [(each["name"], each["on_shift"], each["skills"]) for each in crew] == [("Eve", True, {"mechanical": 3})]
    assert planner.get(f"{API}/detectors").json() == {"items": [], "next": None}
    assert planner.get(f"{API}/predictions").json() == {"items": [], "next": None}
    assert planner.get(f"{API}/alarms", params={"state": "open"}).json() == {"items": [], "next": None}
    found = planner.get(f"{API}/system").json()
    assert found["parts"] == [] and found["quarantine"] == {} and found["lag_s"] is None


def test_an_alarm_is_shown_acknowledged_and_shelved(world: World, pump: dict[str, Any]) -> None:
    now = wall_now()
    with world.database.tx(site_id=world.alpha) as conn:
        alarm_id = _alarm(conn, pump)
    planner = world.as_("planner")
    shown = planner.get(f"{API}/alarms").json()["items"][0]
    assert shown["alarm_id"] == alarm_id and shown["mode"]["code"] == "bearing_wear" and shown["ticket"] is None
    assert world.as_("stranger").get(f"{API}/alarms/{alarm_id}").status_code == 404
    assert world.as_("stranger").post(f"{API}/alarms/{alarm_id}/acknowledge").status_code == 404
    known = planner.post(f"{API}/alarms/{alarm_id}/acknowledge")
    assert known.status_code == 200, known.text
    assert (known.json()["state"], known.json()["acked_by"]) == ("acknowledged", "Planner")
    body = {"until": (now + timedelta(hours=2)).isoformat(), "reason": "cable on order"}
    assert world.as_("engineer").post(f"{API}/alarms/{alarm_id}/shelve", json=body).status_code == 403
    shelved = planner.post(f"{API}/alarms/{alarm_id}/shelve", json=body)
    assert shelved.status_code == 200, shelved.text
    assert shelved.json()["state"] == "shelved"
    assert planner.get(f"{API}/assets/{pump['asset_id']}").json()["alarms"][0]["alarm_id"] == alarm_id


def _alarm(conn: Connection, pump: dict[str, Any]) -> int:
    now = wall_now()
    columns = [row.name for row in conn.execute("select * from alarms limit 0").description or []]
    values: dict[str, Any] = {
        "asset_id": pump["asset_id"], "kind": "machine", "mode": "bearing_wear", "detector": "bank", "raised_at": now,
        "started_at": now, "deviating_since": now, "last_at": now, "surprise": 5.0, "health": 0.8,
    }  # fmt: skip
    chosen = {name: value for name, value in values.items() if name in columns}
    query = psycopg.sql.SQL("insert into alarms ({}) values ({}) returning alarm_id").format(
        psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, chosen)),
        psycopg.sql.SQL(", ").join(psycopg.sql.Placeholder() * len(chosen)),
    )
    row = conn.execute(query, list(chosen.values())).fetchone()
    assert row
    return int(row[0])
