"""The door to service levels: policies, calendars, teams, and the preview of a change; device time of offline steps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from api.routers.sla import PolicyWanted
from core import jobs
from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, problem, seeded, ticket
from tickets import ical
from tickets.errors import BadCalendar

SLA = f"{API}/sla/policies"
WEEK = {str(day): [["08:00", "12:00"], ["13:00", "17:00"]] for day in range(5)}
FILE = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//plant//holidays//EN
BEGIN:VEVENT
SUMMARY:New Year
DTSTART;VALUE=DATE:20250101
RRULE:FREQ=YEARLY
END:VEVENT
BEGIN:VEVENT
SUMMARY:Labour Day
DTSTART;VALUE=DATE:20250901
RRULE:FREQ=YEARLY;BYMONTH=9;BYDAY=1MO
END:VEVENT
BEGIN:VEVENT
SUMMARY:Shutdown
DTSTART;VALUE=DATE:20261228
DTEND;VALUE=DATE:20261231
END:VEVENT
BEGIN:VEVENT
SUMMARY:Stock-taking
DTSTART;VALUE=DATE:20260630
RRULE:FREQ=MONTHLY;INTERVAL=6;COUNT=3
EXDATE;VALUE=DATE:20261230
END:VEVENT
BEGIN:VEVENT
SUMMARY:Staff meeting
DTSTART:20260105T090000Z
DTEND:20260105T100000Z
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        yield seeded(running)


def policy(**more: Any) -> dict[str, Any]:
    return {"code": "urgent", "name": "Urgent", "kind": "request", "response_s": 3600, "resolution_s": 7200, **more}


def clocks(world: World, ticket_id: int) -> dict[str, dict[str, Any]]:
    shown = world.as_("planner").get(f"{API}/tickets/{ticket_id}").json()
    return {each["kind"]: each for each in shown["sla"]}


def test_a_policy_is_previewed_made_changed_for_open_tickets_and_retired(world: World) -> None:
    manager, planner = world.as_("manager"), world.as_("planner")
    opened = ticket(world, priority=3)
    ticket(world, priority=4)  # whose policy promises no word to the requester
    before = clocks(world, opened["ticket_id"])
    assert (before["response"]["policy"], before["response"]["why"][0]["en"]) == ("Request, priority 3", "kind request")

    seen = planner.post(f"{API}/sla/preview", json={"policy": policy(update_s=1800)}).json()
    moves = {each["clock"]: each for each in seen["moved"] if each["ticket_id"] == opened["ticket_id"]}
    assert set(moves) == {"response", "update", "resolution"}
    assert moves["resolution"]["due_at"] == before["resolution"]["due_at"]
    assert (seen["begun"], seen["used_up"]) == (1, 0)
    assert clocks(world, opened["ticket_id"])["resolution"]["due_at"] == before["resolution"]["due_at"]

    made = manager.post(SLA, json=policy(update_s=1800))
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    number = made.json()["sla_policy_id"]
    assert planner.get(SLA).json()[0]["sla_policy_id"] == number  # asked first
    assert clocks(world, opened["ticket_id"])["resolution"]["due_at"] == before["resolution"]["due_at"]  # as promised
    assert clocks(world, ticket(world)["ticket_id"])["update"]["policy"] == "Urgent"

    changed = manager.put(f"{SLA}/{number}?reach=open", json=policy(response_s=600), headers={"if-match": '"1"'})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    jobs.run_due(world.database)
    after = clocks(world, opened["ticket_id"])
    assert (after["response"]["policy_version"], after["response"]["target_s"]) == (2, 600)
    kinds = [each["kind"] for each in planner.get(f"{API}/tickets/{opened['ticket_id']}/events").json()["items"]]
    assert kinds[-1] == "sla_policy"

    assert problem(manager.put(f"{SLA}/{number}", json=policy(), headers={"if-match": '"1"'}))["status"] == 412
    assert [each["version"] for each in planner.get(f"{SLA}/{number}/versions").json()] == [2, 1]
    assert manager.delete(f"{SLA}/{number}", headers={"if-match": '"2"'}).status_code == 204
    assert number not in [each["sla_policy_id"] for each in planner.get(SLA).json()]
    assert clocks(world, opened["ticket_id"])["response"]["target_s"] == 600  # what was promised stands
    assert len(planner.get(f"{SLA}/{number}/versions").json()) == 3


def test_what_is_shipped_can_be_put_back_as_it_was_read(world: World) -> None:
    for shown in world.as_("manager").get(SLA).json():
        body = {name: value for name, value in shown.items() if name in PolicyWanted.model_fields}
        path, etag = f"{SLA}/{shown['sla_policy_id']}", f'"{shown["version"]}"'
        again = world.as_("manager").put(path, json=body, headers={"if-match": etag})
        assert again.status_code == 200, again.text
        assert {**again.json(), "marks": []} == {**shown, "marks": []} | {
            name: again.json()[name] for name in ("version", "changed_at", "changed_by")
        }


def test_the_order_names_every_policy_once(world: World) -> None:
    numbers = [each["sla_policy_id"] for each in world.as_("planner").get(SLA).json()]
    turned = world.as_("manager").put(f"{API}/sla/order", json={"policy_ids": numbers[::-1]})
    assert [each["sla_policy_id"] for each in turned.json()] == numbers[::-1]
    assert problem(world.as_("manager").put(f"{API}/sla/order", json={"policy_ids": numbers[1:]}))["status"] == 422
    world.as_("manager").put(f"{API}/sla/order", json={"policy_ids": numbers})


@pytest.mark.parametrize(
    "wrong",
    [
        {"response_s": None, "resolution_s": None},
        {"kind": "party"},
        {"calendar_id": 9999},
        {"marks": [{"fraction": 0.5, "offset_s": 5}]},
        {"marks": [{"fraction": 0.5}, {"fraction": 0.5}]},
        {"marks": [{"fraction": 0.5, "whom": ["everybody"]}]},
        {"response_s": 10**12},
        {"calendar_id": 1, "resolution_s": 4 * 366 * 86_400},  # office hours: it would be due in 18 years
        {"colour": "red"},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(world: World, wrong: dict[str, Any]) -> None:
    answer = world.as_("manager").post(SLA, json=policy(code="wrong", **wrong))
    assert problem(answer)["status"] in (404, 422)


def test_only_managers_edit_and_another_site_sees_nothing(world: World) -> None:
    for login in ("planner", "engineer", "requester", "agent"):
        assert problem(world.as_(login).post(SLA, json=policy()))["status"] == 403
    assert world.as_("stranger").get(SLA).json() == []
    number = world.as_("manager").get(SLA).json()[0]["sla_policy_id"]
    assert problem(world.as_("stranger").get(f"{SLA}/{number}"))["status"] == 404


def test_a_calendar_is_made_previewed_changed_and_keeps_its_versions(world: World) -> None:
    manager = world.as_("manager")
    wanted = {"name": "Two shifts", "timezone": "Europe/Berlin", "hours": WEEK, "holidays": ["2026-12-25"]}
    made = manager.post(f"{API}/calendars", json=wanted).json()
    assert (made["version"], made["is_default"]) == (1, False)
    path = f"{API}/calendars/{made['calendar_id']}"
    more = {**wanted, "holidays": ["2026-12-25", {"yearly": "12-24", "hours": [["08:00", "12:00"]]}, {"easter": 1}]}
    assert manager.post(f"{path}/preview", json=more).json()["looked_at"] > 0
    changed = manager.put(path, json=more, headers={"if-match": '"1"'})
    assert (changed.json()["version"], changed.headers["etag"]) == (2, '"2"')
    assert [each["version"] for each in manager.get(f"{path}/versions").json()] == [2, 1]
    assert manager.put(f"{path}/default").json()["is_default"]
    assert [each["name"] for each in manager.get(f"{API}/calendars").json() if each["is_default"]] == ["Two shifts"]
    for wrong in ({"timezone": "Mars/Base"}, {"hours": {"0": [["9", 5]]}}, {"holidays": [{"yearly": "02-31"}]}):
        assert problem(manager.put(path, json={**wanted, **wrong}, headers={"if-match": '"2"'}))["status"] == 422
    assert problem(manager.post(f"{API}/calendars", json=wanted))["status"] == 422  # the name is taken


def test_holidays_come_from_an_icalendar_file(world: World) -> None:
    found = ical.holidays(FILE, today=date(2026, 3, 2))
    assert found.holidays == (
        {"yearly": "01-01", "name": "New Year"},
        {"month": 9, "weekday": 0, "nth": 1, "name": "Labour Day"},
        *({"date": f"2026-12-{day}", "name": "Shutdown"} for day in (28, 29, 30)),
        {"date": "2026-06-30", "name": "Stock-taking"},
        {"date": "2027-06-30", "name": "Stock-taking"},
    )
    assert found.skipped == ("Staff meeting: it is no whole day; enter a half day by hand",)
    assert len(world.as_("planner").post(f"{API}/calendars/holidays", json={"text": FILE}).json()["holidays"]) == 7
    for text in ("", "hello", "BEGIN:VCALENDAR\nBEGIN:VEVENT", "x" * 300_000):
        with pytest.raises(BadCalendar):
            ical.holidays(text, today=date(2026, 3, 2))
    answer = world.as_("planner").post(f"{API}/calendars/holidays", json={"text": "BEGIN:NOTHING"})
    assert problem(answer)["status"] == 422


def test_a_team_has_members_and_machines(world: World) -> None:
    manager = world.as_("manager")
    user = world.as_("engineer").get(f"{API}/me").json()["user_id"]
    made = manager.put(f"{API}/teams", json={"name": "Hall 1", "user_ids": [user]}).json()
    assert manager.get(f"{API}/teams").json() == [made]
    assert problem(manager.put(f"{API}/teams", json={"name": "Hall 2", "asset_ids": [999]}))["status"] == 404
    again = {"name": "Hall 1", "user_ids": []}
    assert problem(manager.put(f"{API}/teams", json=again))["status"] == 428
    seen = {"if-match": '"1"'}
    assert manager.put(f"{API}/teams", json=again, headers=seen).json()["version"] == 2
    stale = problem(manager.put(f"{API}/teams", json=again, headers=seen))
    assert (stale["status"], stale["current"]["changed_by"]) == (412, "Manager")
    assert {"engineer", "requester"} <= {each["role"] for each in manager.get(f"{API}/teams/people").json()}
    seen = {"if-match": '"2"'}
    assert manager.delete(f"{API}/teams/{made['team_id']}", headers=seen).status_code == 204
    assert problem(manager.delete(f"{API}/teams/{made['team_id']}", headers=seen))["status"] == 404


def test_a_comment_made_offline_says_when(world: World) -> None:
    opened = ticket(world)
    now = datetime.fromisoformat(opened["opened_at"])
    body = {"text": "Seen", "at": (now + timedelta(hours=5)).isoformat()}
    said = world.as_("planner").post(f"{API}/tickets/{opened['ticket_id']}/comments", json=body)
    assert said.json()["body"]["device_doubt"]["why"] == "future"
