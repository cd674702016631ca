"""Files of tickets over the real API: kept once, seen by whom they are for, served as nothing that could run."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zxingcpp
from PIL import Image

from api.uploads import files_of
from core.clock import wall_now
from core.embedded import EmbeddedServer
from tests import file_kit as kit
from tests.api_world import API, World, cloned, living, problem, ticket
from tickets import attachments, image_child, label_image, store
from tickets.attachments import Limits
from tickets.files import Files
from tickets.model import Audience


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        yield running


def add(world: World, ticket_id: int, data: bytes, *, by: str = "planner", key: str | None = None, **query: Any) -> Any:
    headers = {"content-type": "text/html"} | ({"idempotency-key": key} if key else {})
    path = f"{API}/tickets/{ticket_id}/attachments"
    return world.as_(by).post(path, content=data, headers=headers, params=query)


def stored(world: World) -> set[str]:
    """Every file on disk, once what was received is put away: just after the answer was sent."""
    root, deadline = files_of(world.app.state.settings).root, time.monotonic() + 10
    while list((root / "incoming").glob("*")):
        assert time.monotonic() < deadline, "what was received stays"
        time.sleep(0.01)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_photo_is_kept_by_its_hash_with_upright_thumbnails_and_without_its_place(world: World) -> None:
    made, data = ticket(world), kit.phone_photo()
    answer = add(world, made["ticket_id"], data, name="../../etc/Lager\u202e.jpg", note="Drive end")
    assert answer.status_code == 201, answer.text
    shown, digest = answer.json(), hashlib.sha256(data).hexdigest()
    assert (shown["sha256"], shown["media"], shown["name"]) == (digest, "image/jpeg", "Lager.jpg")
    assert f"{world.alpha}/{digest[:2]}/{digest}" in stored(world)
    small = world.as_("planner").get(f"{answer.headers['location']}/content", params={"size": "small"})
    with Image.open(io.BytesIO(small.content)) as thumb:
        assert (thumb.format, thumb.size, dict(thumb.getexif())) == ("WEBP", (40, 80), {})
    assert b"Exif" not in small.content


def test_content_is_served_as_nothing_that_could_run(world: World) -> None:
    made, data = ticket(world), kit.picture("PNG", colour="red")
    location = add(world, made["ticket_id"], data, name="泵 1.png").headers["location"]
    client = world.as_("planner")
    answer = client.get(f"{location}/content")
    assert (answer.content, answer.headers["content-type"]) == (data, "image/png")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%E6%B3%B5%201.png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "private, no-cache"
    again = client.get(f"{location}/content", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = client.get(f"{location}/content", headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")


def test_the_chain_covers_the_content(world: World) -> None:
    made, data = ticket(world), kit.ogg()
    assert add(world, made["ticket_id"], data).json()["kind"] == "audio"
    with world.database.tx(site_id=world.alpha) as conn:
        event = store.timeline(conn, made["ticket_id"])[-1]
        assert (event.kind, event.body["sha256"]) == ("attached", hashlib.sha256(data).hexdigest())
        assert store.verify_chain(conn, made["ticket_id"]) == []


def test_the_same_key_or_content_is_one_file(world: World) -> None:
    made, data = ticket(world), kit.picture("PNG", colour="blue")
    first = add(world, made["ticket_id"], data, key="upload-0001")
    again = add(world, made["ticket_id"], data, key="upload-0001")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = add(world, made["ticket_id"], kit.picture("PNG", colour="pink"), key="upload-0001")
    assert problem(other)["code"] == "idempotency_key_reused"
    same = add(world, made["ticket_id"], data, name="other.png")
    assert (same.status_code, same.json()["attachment_id"]) == (200, first.json()["attachment_id"])
    elsewhere = add(world, ticket(world)["ticket_id"], data)
    assert elsewhere.status_code == 201
    digest = first.json()["sha256"]
    assert sum(name.endswith(digest) for name in stored(world)) == 1
    events = world.as_("planner").get(f"{API}/tickets/{made['ticket_id']}/events").json()["items"]
    assert [each["kind"] for each in events] == ["opened", "attached"]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "file_empty"),
        (b"<html><script>1</script>", 415, "file_type_refused"),
        (kit.picture("PNG") + kit.archive(), 422, "two_files_in_one"),
        (kit.huge_png(50_000, 50_000), 422, "too_many_pixels"),
        (kit.huge_png(4_000, 4_000), 422, "file_damaged"),
        (kit.picture("PNG")[:-20], 422, "file_damaged"),
    ],
    ids=["nothing", "page", "two in one", "pixels", "no pixels", "cut off"],
)
def test_what_is_refused_leaves_nothing(world: World, data: bytes, status: int, code: str) -> None:
    made, before = ticket(world), stored(world)
    refused = add(world, made["ticket_id"], data)
    assert (refused.status_code, problem(refused)["code"]) == (status, code)
    assert stored(world) == before
    with world.database.tx(site_id=world.alpha) as conn:
        assert store.get(conn, made["ticket_id"]).event_count == made["version"]


def test_a_file_larger_than_its_type_may_be_is_refused(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MILLWRIGHT_ATTACHMENT_IMAGE_MB", "0.02")
    monkeypatch.setenv("MILLWRIGHT_ATTACHMENT_AUDIO_MB", "0.05")
    monkeypatch.setenv("MILLWRIGHT_ATTACHMENT_VIDEO_MB", "0.01")
    monkeypatch.setenv("MILLWRIGHT_ATTACHMENT_DOCUMENT_MB", "0.01")
    with cloned(server) as database, living(database, tmp_path) as small:
        made = ticket(small)
        assert problem(add(small, made["ticket_id"], kit.noise((200, 200))))["code"] == "file_too_large"
        refused = add(small, made["ticket_id"], bytes(60_000))  # more than of any type: not even received
        assert problem(refused)["code"] == "file_too_large"
        chunked = small.as_("planner").post(
            f"{API}/tickets/{made['ticket_id']}/attachments", content=(bytes(10_000) for _ in range(7))
        )
        assert problem(chunked)["code"] == "file_too_large"
        assert stored(small) == set()


def test_a_requester_sees_and_adds_what_is_theirs(world: World) -> None:
    mine = world.as_("requester").post(f"{API}/tickets", json={"kind": "request", "title": "Noise"}).json()
    inside = add(world, mine["ticket_id"], kit.PDF, audience="internal").json()
    outside = add(world, mine["ticket_id"], b"For you.", audience="requester").json()
    own = add(world, mine["ticket_id"], kit.mp4(), by="requester", audience="internal").json()
    assert own["audience"] == "requester"
    client = world.as_("requester")
    shown = client.get(f"{API}/tickets/{mine['ticket_id']}/attachments").json()["items"]
    assert [each["attachment_id"] for each in shown] == [outside["attachment_id"], own["attachment_id"]]
    for path in ("", "/content"):
        assert client.get(f"{API}/attachments/{inside['attachment_id']}{path}").status_code == 404
    other = add(world, ticket(world)["ticket_id"], b"secret", audience="requester").json()
    assert client.get(f"{API}/attachments/{other['attachment_id']}/content").status_code == 404
    assert world.as_("stranger").get(f"{API}/attachments/{inside['attachment_id']}/content").status_code == 404


def test_nobody_unknown_or_without_the_right_may_fill_the_disk(world: World) -> None:
    made, before = ticket(world), stored(world)
    assert add(world, made["ticket_id"], kit.PDF, by=None).status_code == 401  # type: ignore[arg-type]
    assert add(world, made["ticket_id"], kit.PDF, by="agent").status_code == 403
    assert add(world, made["ticket_id"], kit.PDF, by="device").status_code == 403
    assert add(world, made["ticket_id"], kit.PDF, by="stranger").status_code == 404
    assert stored(world) == before


def test_a_code_in_a_photo_names_the_asset_of_this_site_alone(world: World) -> None:
    client = world.as_("planner")
    asset = client.post(f"{API}/assets", json={"code": "P-101", "name": "Feed <pump>", "asset_class": "pump"})
    assert asset.status_code == 201, asset.text
    label = client.get(f"{API}/assets/{asset.json()['asset_id']}/label")
    assert label.headers["content-type"].startswith("image/svg+xml")
    assert "Feed &lt;pump&gt;" in label.text
    address = f"http://plant.example/#/assets/{asset.json()['asset_id']}?code=P-101&site=alpha"
    for text, found in (
        (address, "P-101"),
        ("P-101", "P-101"),
        ("P-101;SN 4711", "P-101"),
        (address.replace("alpha", "beta"), None),
        (address.replace("P-101", "P-102"), None),
        ("https://elsewhere.example/", None),
    ):
        photo = kit.coded(label_image.matrix(text))
        told = world.as_("requester").post(f"{API}/attachments/scan", content=photo).json()
        assert told["codes"] == [{"format": "QR Code", "text": text}]
        assert (told["asset"] or {}).get("code") == found, text
    kept = add(world, ticket(world)["ticket_id"], kit.coded(label_image.matrix(address))).json()
    assert kept["asset"]["code"] == "P-101"
    assert problem(client.post(f"{API}/attachments/scan", content=kit.PDF))["code"] == "file_type_refused"


def test_a_data_matrix_on_a_plate_is_read(world: World) -> None:
    made: Any = zxingcpp.create_barcode("M-77", zxingcpp.BarcodeFormat.DataMatrix)
    drawn = [[bool(pixel < 128) for pixel in row] for row in np.asarray(made.to_image(scale=1, add_quiet_zones=False))]
    assert world.as_("planner").post(f"{API}/assets", json={"code": "M-77", "name": "Motor"}).status_code == 201
    told = world.as_("engineer").post(f"{API}/attachments/scan", content=kit.coded(drawn)).json()
    assert (told["codes"][0]["text"], told["asset"]["code"]) == ("M-77", "M-77")


def test_many_who_send_the_same_at_once_make_one_file(world: World) -> None:
    tickets, data = [ticket(world)["ticket_id"] for _ in range(2)], kit.picture("PNG", colour="olive")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda turn: add(world, tickets[turn % 2], data), range(6)))
    assert sorted(each.status_code for each in answers) == [200, 200, 200, 200, 201, 201]
    assert len({each.json()["attachment_id"] for each in answers}) == 2
    assert sum(name.endswith(answers[0].json()["sha256"]) for name in stored(world)) == 1


def test_a_transaction_that_fails_leaves_a_file_to_collect_and_no_row(world: World, tmp_path: Path) -> None:
    files, made = Files(tmp_path), ticket(world)
    path = files.incoming()
    path.write_bytes(b"Nobody else sends this.")
    received = attachments.receive(path, Limits(10**6, 10**6, 10**6, 10**6, 10**6))
    with pytest.raises(ZeroDivisionError), world.database.tx(site_id=world.alpha) as conn:
        actor, now = store.timeline(conn, made["ticket_id"])[0].actor, store.get(conn, made["ticket_id"]).opened_at
        attachments.attach(
            conn, actor, made["ticket_id"], files=files, received=received, name="", audience=Audience.INTERNAL, now=now
        )
        raise ZeroDivisionError
    assert files.path(world.alpha, received.digest).exists()
    with world.database.tx(site_id=world.alpha) as conn:
        assert attachments.of(conn, made["ticket_id"]) == []
        assert attachments.collect(conn, files, wall_now=wall_now() + timedelta(days=2)) == 1


def test_what_no_row_names_is_collected_after_a_while(world: World) -> None:
    files, day = files_of(world.app.state.settings), timedelta(days=1)
    made = add(world, ticket(world)["ticket_id"], kit.picture("PNG", colour="gold")).json()
    digest = hashlib.sha256(b"lost").digest()
    lost = files.path(world.alpha, digest)
    lost.parent.mkdir(parents=True, exist_ok=True)
    lost.write_bytes(b"lost")
    files.thumb(world.alpha, digest, "small").write_bytes(b"thumb")
    half = files.incoming()
    half.write_bytes(b"half")
    with world.database.tx(site_id=world.alpha) as conn:
        assert attachments.collect(conn, files, wall_now=wall_now()) == 0
        assert lost.exists()
        assert half.exists()
        assert attachments.collect(conn, files, wall_now=wall_now() + 2 * day) == 1
    assert not lost.exists()
    assert not half.exists()
    assert not list(lost.parent.glob(f"{digest.hex()}*"))
    assert files.path(world.alpha, bytes.fromhex(made["sha256"])).exists()


def test_a_carried_file_is_seen_on_the_other_ticket_too(world: World) -> None:
    one, other = ticket(world), ticket(world)
    add(world, one["ticket_id"], kit.webm())
    with world.database.tx(site_id=world.alpha) as conn:
        actor = store.timeline(conn, one["ticket_id"])[0].actor
        now = store.get(conn, one["ticket_id"]).opened_at
        for expected in (1, 0):
            carried = attachments.carry(conn, actor, one["ticket_id"], other["ticket_id"], now=now)
            assert carried == expected
        assert [each.media for each in attachments.of(conn, other["ticket_id"])] == ["audio/webm"]
        assert store.verify_chain(conn, other["ticket_id"]) == []


def test_the_child_lives_within_its_limits(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(kit.picture("PNG", size=(3000, 3000)))
    command = [sys.executable, "-I", str(Path(image_child.__file__)), str(bomb), str(bomb), "1000000"]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (image_child.UNREADABLE, b"")
    assert b"DecompressionBomb" in done.stderr
    assert list(tmp_path.iterdir()) == [bomb]
