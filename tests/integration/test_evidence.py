"""What an order rests on is frozen, chained and sealed: offline, any byte that was changed shows, and is named."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from psycopg import Connection

from api import cli
from api.commands import evidence as command
from core import merkle
from core.database import Database
from core.seals import Seal
from maintenance import evidence, evidence_pack, evidence_seal, feedback
from maintenance.evidence import What
from maintenance.guard import GUARD
from plant import telemetry
from tests.integration.test_maintenance_guard import DONE, HOUR, T0, Plant
from tickets import chain, hooks, roots
from tickets import service as tickets
from tickets import store as tickets_store
from tickets.model import SYSTEM, Ticket

SEAL = Seal("a secret of the test", purpose="audit")
LATER = T0 + timedelta(days=40)


@pytest.fixture
def plant(database: Database, site: int) -> Iterator[Plant]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        roots.sign_with(SEAL)
        evidence_pack.sign_with(SEAL)
        yield Plant(database, site)
    roots.sign_with(None)
    evidence_pack.sign_with(None)


def closed_order(plant: Plant) -> Ticket:
    """An order that telemetry closed, frozen at both ends, under a root."""
    ticket = plant.fail()
    with plant.tx() as conn:
        evidence.freeze(conn, ticket.ticket_id, What.OPENED, now=ticket.opened_at)
    plant.done(ticket)
    plant.run(DONE, 37, level=0.0)
    plant.check(37)
    with plant.tx() as conn:
        evidence.freeze(conn, ticket.ticket_id, What.CLOSED, now=T0 + 38 * HOUR)
    with plant.tx() as conn:
        roots.extend(conn, T0 + 39 * HOUR)
    return plant.ticket(ticket)


def packed(plant: Plant, ticket: Ticket) -> bytes:
    with plant.tx() as conn:
        return evidence_pack.order(conn, ticket, now=LATER).content


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as pack:
        return {each: pack.read(each) for each in pack.namelist()}


def problems(content: bytes) -> tuple[str, ...]:
    return evidence_seal.check(content, key=SEAL.public).problems


def test_a_pack_is_whole_and_every_kind_of_tampering_is_named(plant: Plant, tmp_path: Path) -> None:
    ticket = closed_order(plant)
    content = packed(plant, ticket)
    assert problems(content) == ()
    files = files_of(content)
    assert {"index.html", "report.pdf", "opened.json", "closed.json", "timeline.json"} <= files.keys()
    assert any(name.startswith("data/opened-01-vibration") for name in files)
    page = files["index.html"].decode()
    assert "<svg" in page and "<script" not in page and "http-equiv" in page and ticket.ref in page
    assert files["report.pdf"].startswith(b"%PDF")
    opened, closed = json.loads(files["opened.json"]), json.loads(files["closed.json"])
    assert opened["signals"][0]["bands"]["high"] and opened["findings"] and opened["alarms"][0]["diagnosis"]
    assert opened["detectors"][0] == {**opened["detectors"][0], "detector": "chain", "version": "1"}
    assert opened["verification"] is None and closed["verification"]["status"] == "healthy"

    for name in files:
        altered = files | {name: files[name][:-1] + bytes([files[name][-1] ^ 1])}
        said = problems(evidence_seal.container(altered))
        assert any(each.startswith(name.removesuffix(".sig").removesuffix(".json")) for each in said), (name, said)
        without = {path: each for path, each in files.items() if path != name}
        assert f"{name} was removed." in problems(evidence_seal.container(without))
    assert problems(evidence_seal.container(files | {"more.txt": b"x"})) == ("more.txt was added.",)
    turned = dict(sorted(files.items(), reverse=True))
    assert problems(evidence_seal.container(turned)) == ("The files are not in the order of the manifest.",)
    manifest = json.loads(files["manifest.json"])
    manifest["files"].reverse()
    reordered = files | {"manifest.json": chain.canonical(manifest).encode()}
    assert "manifest.json was altered: its signature does not hold." in problems(evidence_seal.container(reordered))
    other = evidence_seal.check(content, key=Seal("another", purpose="audit").public).problems
    assert any("another key" in each for each in other)
    _by_the_command(content, tmp_path)


def _by_the_command(content: bytes, folder: Path) -> None:
    path = folder / "pack.zip"
    path.write_bytes(content)
    assert command.evidence(["verify", str(path), "--key", SEAL.public]) == 0
    seq, digest = _root_of(content)
    assert command.evidence(["verify", str(path), "--expect", f"{seq}:{digest[:12]}"]) == 0
    assert command.evidence(["verify", str(path), "--expect", f"{seq}:{'0' * 12}"]) == 1
    path.write_bytes(content[:-1])
    assert command.evidence(["verify", str(path)]) == 1
    assert cli.main(["evidence", "verify", str(folder / "none.zip")]) == 1


def _root_of(content: bytes) -> tuple[int, str]:
    root = json.loads(files_of(content)["manifest.json"])["orders"][0]["root"]
    return root["seq"], root["hash"]


def test_any_byte_that_was_flipped_shows(plant: Plant) -> None:
    content = packed(plant, closed_order(plant))
    step = max(1, len(content) // 400)
    ends = [*range(60), *range(len(content) - 200, len(content))]  # headers and the directory, every byte
    for place in sorted({*range(0, len(content), step), *ends}):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        assert problems(bytes(changed)), f"byte {place} of {len(content)}"


def test_who_rewrites_a_timeline_and_seals_again_is_found_out(plant: Plant) -> None:
    """Even with the key of the manifest the root that was noted elsewhere holds."""
    content = packed(plant, closed_order(plant))
    seq, digest = _root_of(content)
    files = files_of(content)
    manifest = json.loads(files.pop("manifest.json"))
    del files["manifest.sig"]
    opened = json.loads(files["opened.json"])
    opened["findings"] = []
    files["opened.json"] = chain.canonical(opened).encode()
    about = {name: value for name, value in manifest.items() if name not in ("format", "key", "files")}
    again = evidence_seal.seal(files, about, SEAL)
    assert any(each.startswith("opened.json is not what the timeline") for each in problems(again))
    events = json.loads(files["timeline.json"])
    events[0]["body"]["after"]["title"] = "Nothing"
    files["timeline.json"] = chain.canonical(events).encode()
    assert any("event 1 of" in each for each in problems(evidence_seal.seal(files, about, SEAL)))
    previous = ""
    for event in events:
        event["prev"] = previous
        previous = event["hash"] = evidence_seal.event_hash(event)
    files["timeline.json"] = chain.canonical(events).encode()
    order = {**about["orders"][0], "head": previous}
    said = problems(evidence_seal.seal(files, {**about, "orders": [order]}, SEAL))
    assert any(f"is not the one that root {seq} saw" in each for each in said)
    assert evidence_seal.check(content, key=SEAL.public, anchor=(seq, digest[:16])).problems == ()


def test_frozen_evidence_outlives_the_samples_and_is_frozen_once(plant: Plant) -> None:
    ticket = closed_order(plant)
    with plant.tx() as conn:
        before = evidence.frozen(conn, ticket.ticket_id)
        count = tickets_store.get(conn, ticket.ticket_id).event_count
        again = evidence.freeze(conn, ticket.ticket_id, What.OPENED, now=LATER)
        assert again == before[0] and tickets_store.get(conn, ticket.ticket_id).event_count == count
        assert tickets_store.verify_chain(conn, ticket.ticket_id) == []
    with plant.database.ingest_tx() as conn:
        telemetry.drop_before(conn, LATER.date())
    with plant.tx() as conn:
        assert evidence.frozen(conn, ticket.ticket_id) == before
    assert problems(packed(plant, ticket)) == ()
    assert len(before[0].read()["signals"][0]["at"]) > 100


def test_a_machines_year_is_one_pack(plant: Plant) -> None:
    ticket = closed_order(plant)
    content = year_of(plant)
    assert problems(content) == () and f"{ticket.ref}/index.html" in files_of(content)
    said = json.loads(files_of(content)["manifest.json"])
    assert said["orders_of_the_year"] == 1 and said["orders"][0]["root"]["seq"] == 1


def year_of(plant: Plant) -> bytes:
    out = io.BytesIO()
    with plant.tx() as conn:
        name = evidence_pack.asset_year(conn, plant.asset_id, T0.year, out, now=LATER)
    assert name.endswith(f"-{T0.year}.evidence.zip")
    return out.getvalue()


def test_a_year_that_is_too_long_says_how_much_is_missing(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    closed_order(plant)
    with plant.tx() as conn:
        tickets.open(conn, SYSTEM, kind="inspection", title="Look", asset_id=plant.asset_id, now=T0)
    monkeypatch.setattr(evidence_pack, "MOST_ORDERS", 1)
    files = files_of(year_of(plant))
    assert "first 1 of 2 orders" in files["index.html"].decode()
    assert json.loads(files["manifest.json"])["orders_of_the_year"] == 2


def test_a_year_is_never_in_memory_as_a_whole(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty orders with a megabyte of evidence each: what Python holds at most is a few of them."""
    closed_order(plant)
    with plant.tx() as conn:
        for number in range(40):
            tickets.open(conn, SYSTEM, kind="inspection", title=f"{number}", asset_id=plant.asset_id, now=T0)
    monkeypatch.setattr(evidence_pack, "pdf", lambda _document: b"%PDF")
    real = evidence_pack._order

    def heavy(conn: Connection, ticket: Ticket, *, folder: str) -> Any:
        document, files, about = real(conn, ticket, folder=folder)
        return document, {**files, f"{folder}data/wave.bin": bytes(1_000_000)}, about

    monkeypatch.setattr(evidence_pack, "_order", heavy)
    tracemalloc.start()
    with plant.tx() as conn, (tmp_path / "pack.zip").open("w+b") as out:
        evidence_pack.asset_year(conn, plant.asset_id, T0.year, out, now=LATER)
        size = out.tell()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 41_000_000 and most < 12_000_000
    assert problems((tmp_path / "pack.zip").read_bytes()) == ()


def test_the_newest_root_is_found_without_reading_all(plant: Plant) -> None:
    ticket = closed_order(plant)
    packed(plant, ticket)
    with plant.tx() as conn:
        (seq,) = conn.execute("select max(seq) from audit_roots").fetchone() or (0,)
        assert evidence.roots_of(conn, [ticket.ticket_id])[ticket.ticket_id]["seq"] == seq
        conn.execute("set local enable_seqscan = off")
        plan = conn.execute("explain select seq from audit_newest where ticket_id = any(%s)", ([1],)).fetchall()
    assert "audit_newest_pkey" in str(plan)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
@effort(max_examples=60)
def test_the_path_of_a_leaf_leads_to_the_root(contents: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(contents) - 1))
    steps = evidence_seal.path_of(contents, index)
    assert evidence_seal.climbed(contents[index], steps) == merkle.root(contents).hex()
    assert evidence_seal.climbed(contents[index] + b"x", steps) != merkle.root(contents).hex()
