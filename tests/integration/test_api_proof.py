"""Evidence, figures and the ledger over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api import up
from core.embedded import EmbeddedServer
from maintenance import evidence_seal
from tests.api_world import API, World, cloned, living, problem, seeded
from tests.external_server import ExternalServer
from tickets.hooks import hooks


@pytest.fixture(scope="module")
def world(
    server: EmbeddedServer | ExternalServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    kept = hooks.copy()
    up.wire()
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("proof")) as made:
        yield seeded(made)
    hooks.become(kept)


def test_a_pack_comes_over_http_and_is_whole(world: World) -> None:
    planner = world.as_("planner")
    asset = planner.post(f"{API}/assets", json={"code": "P-1", "name": "Pump", "asset_class": "pump"}).json()
    body = {"kind": "corrective", "title": "Leak <script>", "asset_id": asset["asset_id"]}
    ticket = planner.post(f"{API}/tickets", json=body)
    assert ticket.status_code == 201, ticket.text
    at = f"{API}/tickets/{ticket.json()['ticket_id']}/evidence"
    assert planner.get(at).json()["items"] == []  # the worker freezes it
    made = planner.get(f"{at}/pack")
    assert made.status_code == 200 and made.headers["content-type"] == "application/zip"
    found = evidence_seal.check(made.content)
    assert found.problems == () and any("Nobody signed" in each for each in found.notes)
    assert b"<script>" not in made.content.split(b"index.html")[1][:4000]
    year = ticket.json()["opened_at"][:4]
    assert planner.get(f"{API}/assets/{asset['asset_id']}/evidence/pack", params={"year": year}).status_code == 200
    none = planner.get(f"{API}/assets/{asset['asset_id']}/evidence/pack", params={"year": 1980})
    assert problem(none)["status"] == 404
    assert world.as_("requester").get(f"{at}/pack").status_code == 403


def test_figures_open_their_rows(world: World) -> None:
    planner = world.as_("planner")
    shown = planner.get(f"{API}/indicators").json()
    assert {each["name"] for each in shown["figures"]} >= {"mtbf", "mttr", "availability", "backlog_weeks"}
    for each in shown["figures"]:
        rows = planner.get(f"{API}/indicators/{each['name']}/rows").json()["items"]
        assert len(rows) == each["rows"]
    assert planner.get(f"{API}/ledger").json() == {"lines": [], "sums": {}}
    assert planner.get(f"{API}/ledger/file").text.startswith("ticket_id,ref,")
    assert planner.get(f"{API}/detectors/figures").json()["items"] == []
    backwards = planner.get(
        f"{API}/indicators", params={"since": "2030-01-02T00:00:00Z", "until": "2030-01-01T00:00:00Z"}
    )
    assert problem(backwards)["status"] in (400, 422)
