"""Life cycles edited without code: previewed before, enforced after, open tickets left alone or brought along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from api.commands import lifecycle as command
from core.database import Database
from core.errors import Invalid, NotFound
from core.settings import Settings
from tests.api_world import API, World, living, problem
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, order, walk
from tests.integration.tickets_world import World as Plant
from tickets import chain, definitions, lifecycle_edit, lifecycle_text, service, store
from tickets.errors import BadDefinition, DefinitionChanged, IllegalTransition, MissingFields
from tickets.lifecycle_edit import Fate
from tickets.model import TicketKind

KIND = TicketKind.PREVENTIVE


@pytest.fixture
def plant(conn: Connection, site: int) -> Plant:
    return tickets_world.build(conn)


def shipped() -> dict[str, Any]:
    return lifecycle_text.definition_of(definitions.builtin()[KIND])


def without_arrived() -> dict[str, Any]:
    """The engineer goes from accepted straight to done; *arrived* is gone."""
    data = shipped()
    del data["states"]["arrived"]
    kept = []
    for step in data["transitions"]:
        sources = [name for name in step["from"] if name != "arrived"]
        if step["to"] == "done":
            sources = ["accepted"]
        if sources and step["to"] != "arrived":
            kept.append({**step, "from": sources})
    return {**data, "transitions": kept}


def test_a_new_version_binds_new_tickets_and_leaves_the_open_ones(conn: Connection, plant: Plant) -> None:
    before = walk(conn, plant.lin, order(conn, plant), "accepted")
    made = lifecycle_edit.publish(conn, plant.planner, KIND, without_arrived(), note="shorter", based_on=0)
    assert (made.version, made.active, made.note, made.published_by) == (1, True, "shorter", "Pat")
    after = walk(conn, plant.lin, order(conn, plant, mode="cavitation"), "accepted")
    with pytest.raises(IllegalTransition):
        walk(conn, plant.lin, after, "arrived")
    assert walk(conn, plant.lin, after, "done").status == "done"
    assert walk(conn, plant.lin, before, "arrived").status == "arrived"
    assert [(each.version, each.open_tickets) for each in lifecycle_edit.versions(conn, KIND)] == [(1, 1), (0, 1)]


def test_a_preview_says_whom_it_touches_before_anything_happens(conn: Connection, plant: Plant) -> None:
    walk(conn, plant.lin, order(conn, plant), "accepted")
    there = walk(conn, plant.lin, order(conn, plant, mode="cavitation"), "accepted", "arrived")
    order(conn, plant, mode="misalignment")
    found = lifecycle_edit.preview(conn, KIND, without_arrived())
    assert found.problems == () and found.difference is not None
    assert {(each.state, each.count, each.fate) for each in found.standings} == {
        ("assigned", 1, Fate.SAME), ("accepted", 1, Fate.CHANGED), ("arrived", 1, Fate.HOMELESS),
    }  # fmt: skip
    assert next(each.refs for each in found.standings if each.state == "arrived") == (there.ref,)
    said = [each["en"] for each in found.difference.sentences]
    assert "State arrived is gone." in said
    assert "engineer may now move a ticket from accepted to done." in said
    assert lifecycle_edit.active(conn, KIND).version == 0


def test_open_tickets_are_brought_along_by_events(conn: Connection, plant: Plant) -> None:
    there = walk(conn, plant.lin, order(conn, plant), "accepted", "arrived")
    held = walk(conn, plant.lin, order(conn, plant, mode="cavitation"), "accepted", "arrived", "on_hold")
    fresh = lifecycle_edit.publish(conn, plant.planner, KIND, without_arrived())
    with pytest.raises(BadDefinition, match="'arrived', which is gone"):
        lifecycle_edit.migrate(conn, plant.planner, KIND, states={}, now=NOW)
    for wrong in ({"arrived": "closed"}, {"arrived": "done"}, {"arrived": "nowhere"}):
        with pytest.raises(BadDefinition):
            lifecycle_edit.migrate(conn, plant.planner, KIND, states=wrong, now=NOW)
    moved = lifecycle_edit.migrate(conn, plant.planner, KIND, states={"arrived": "accepted"}, now=NOW)
    assert (moved.moved, moved.left) == (2, 0)
    now_there, now_held = store.get(conn, there.ticket_id), store.get(conn, held.ticket_id)
    assert (now_there.status, now_there.lifecycle_id) == ("accepted", fresh.lifecycle_id)
    assert (now_held.status, now_held.held_from) == ("on_hold", "accepted")
    for ticket in (now_there, now_held):
        events = store.timeline(conn, ticket.ticket_id)
        assert (events[-1].kind, events[-1].body["to"]) == ("lifecycle", ticket.status)
        assert chain.replay(events) == chain.row_of(ticket) and store.verify_chain(conn, ticket.ticket_id) == []
    assert walk(conn, plant.lin, now_held, "accepted", "done").status == "done"
    assert lifecycle_edit.migrate(conn, plant.planner, KIND, states={}, now=NOW).moved == 0


def test_going_back_is_a_version_of_its_own(conn: Connection, plant: Plant) -> None:
    lifecycle_edit.publish(conn, plant.planner, KIND, without_arrived())
    back = lifecycle_edit.restore(conn, plant.planner, KIND, 0)
    assert (back.version, back.note) == (2, "back to version 0")
    assert lifecycle_edit.definition(conn, KIND) == shipped()
    assert lifecycle_edit.definition(conn, KIND, 1) == without_arrived()
    with pytest.raises(NotFound):
        lifecycle_edit.definition(conn, KIND, 9)


def test_two_editors_do_not_overwrite_each_other(conn: Connection, plant: Plant) -> None:
    lifecycle_edit.publish(conn, plant.planner, KIND, without_arrived(), based_on=0)
    with pytest.raises(DefinitionChanged, match="Version 1 was published meanwhile"):
        lifecycle_edit.publish(conn, plant.planner, KIND, shipped(), based_on=0)
    first = lifecycle_edit.save_draft(conn, plant.planner, KIND, shipped(), revision=0, now=NOW)
    lifecycle_edit.save_draft(conn, plant.planner, KIND, {"initial": 7}, revision=first.revision, now=NOW)
    with pytest.raises(DefinitionChanged, match="Pat changed it last"):
        lifecycle_edit.save_draft(conn, plant.planner, KIND, shipped(), revision=first.revision, now=NOW)
    assert lifecycle_edit.drafted(conn, KIND) == {"initial": 7}
    assert lifecycle_edit.preview(conn, KIND, {"initial": 7}).problems
    with pytest.raises(BadDefinition):
        lifecycle_edit.publish(conn, plant.planner, KIND, {"initial": 7})
    lifecycle_edit.publish(conn, plant.planner, KIND, shipped())
    assert lifecycle_edit.draft(conn, KIND) is None


def test_a_required_custom_field_is_asked_of_every_caller(conn: Connection, plant: Plant) -> None:
    data = shipped()
    done = next(step for step in data["transitions"] if step["to"] == "done")
    done["requires"] = [*done["requires"], "ticket.downtime_s"]
    lifecycle_edit.publish(conn, plant.planner, KIND, data)
    ticket = walk(conn, plant.lin, order(conn, plant), "accepted", "arrived")
    for actor in (plant.lin, plant.planner):
        with pytest.raises(MissingFields, match="downtime_s"):
            walk(conn, actor, ticket, "done")
    ticket = service.record(
        conn, plant.lin, ticket.ticket_id, kind="cost", details={}, changes={"downtime_s": 60.0}, now=NOW
    )
    assert walk(conn, plant.lin, ticket, "done").status == "done"


def test_a_published_version_cannot_be_rewritten(database: Database, site: int) -> None:
    for statement in ("update lifecycles set definition = '{}'", "delete from lifecycles"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tx(site_id=site) as conn:
            conn.execute(statement)


# -- as text ----------------------------------------------------------------------------------------------------------


def test_the_verb_exports_checks_previews_and_publishes(
    database: Database,
    site: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = Settings(data_dir=tmp_path, database_url=database.app_dsn)
    monkeypatch.setattr(command, "settings", lambda: chosen)
    file = tmp_path / "preventive.toml"

    def run(*words: str) -> tuple[int, str]:
        code = command.lifecycle([*words])
        return code, capsys.readouterr().out

    code, text = run("export", "--kind", "preventive")
    assert code == 0 and lifecycle_text.read(text) == shipped()
    file.write_text(text.replace('to = "arrived"', 'to = "nowhere"', 1))
    code, text = run("check", str(file))
    assert code == 1 and "there is no state 'nowhere'" in text and "'arrived' cannot be reached" not in text
    file.write_text(lifecycle_text.to_json(without_arrived()))
    assert run("check", str(file))[0] == 0
    with database.tx(site_id=site) as conn:
        plant = tickets_world.build(conn)
        walk(conn, plant.lin, order(conn, plant), "accepted", "arrived")
    code, text = run("preview", str(file), "--kind", "preventive")
    assert code == 0 and "1 open in arrived (version 0): the state is gone" in text
    assert "version 1" in run("publish", str(file), "--kind", "preventive", "--note", "shorter")[1]
    assert "1 open tickets" in run("migrate", "--kind", "preventive", "--state", "arrived=accepted")[1]
    assert "shorter" in run("versions", "--kind", "preventive")[1]
    assert "version 2 is version 0 again" in run("restore", "0", "--kind", "preventive")[1]
    with pytest.raises(Invalid, match="OLD=NEW"):
        run("migrate", "--kind", "preventive", "--state", "arrived")


# -- over the API -----------------------------------------------------------------------------------------------------


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    with living(database, tmp_path) as running:
        yield running


def test_a_planner_drafts_and_previews_and_a_manager_publishes(world: World) -> None:
    planner, manager = world.as_("planner"), world.as_("manager")
    path = f"{API}/lifecycles/inspection"
    listed = planner.get(f"{API}/lifecycles").json()
    assert {each["kind"]: each["version"] for each in listed["items"]}["inspection"] == 0
    assert "own" in listed["guards"] and "verdict" in listed["fields"]
    shown = planner.get(path).json()
    wanted = {**shown["definition"]}
    wanted["transitions"] = [step for step in wanted["transitions"] if step["to"] != "cancelled"]
    kept = planner.put(f"{path}/draft", json={"definition": wanted, "revision": 0}).json()
    assert kept["revision"] == 1 and kept["problems"] == ["State 'cancelled' cannot be reached."]
    assert problem(manager.post(f"{path}/publish", json={}))["code"] == "bad_lifecycle"
    for step in wanted["transitions"]:
        step["roles"] = sorted({*step["roles"], "agent"}) if step["to"] == "accepted" else step["roles"]
    wanted["transitions"] += [step for step in shown["definition"]["transitions"] if step["to"] == "cancelled"]
    assert planner.put(f"{path}/draft", json={"definition": wanted, "revision": 0}).status_code == 409
    assert planner.put(f"{path}/draft", json={"definition": wanted, "revision": 1}).json()["problems"] == []
    found = planner.post(f"{path}/preview", json={}).json()
    assert [each["role"] for each in found["roles"]] and found["problems"] == []
    assert planner.post(f"{path}/publish", json={}).status_code == 403
    made = manager.post(f"{path}/publish", json={"note": "agents help", "based_on": 0})
    assert made.status_code == 201 and made.json()["version"] == 1, made.text
    assert manager.post(f"{path}/migrate", json={}).json() == {"moved": 0, "left": 0}
    again = manager.post(f"{path}/restore", json={"version": 0}).json()
    assert (again["version"], again["note"]) == (2, "back to version 0")
    assert planner.get(path).json()["draft"] is None
    assert planner.get(path, params={"version": 1}).json()["definition"] == wanted
    assert world.as_("stranger").get(path).json()["versions"][0]["version"] == 0
    assert world.as_("requester").get(path).status_code == 403
