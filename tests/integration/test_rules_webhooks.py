"""Webhooks: written with what they tell, sent after it, signed, tried again, and never to where they must not go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from psycopg import Connection

import tickets.rules.jobs  # noqa: F401 - registers the handlers
from core.clock import load
from core.database import Database
from core.errors import Conflict, NotFound
from tests.integration.tickets_world import NOW, build
from tickets import service
from tickets.hooks import only
from tickets.model import Actor, ActorKind
from tickets.rules import delivery, engine, outbox, runs, targets
from tickets.rules import service as rules
from tickets.rules.errors import BadTarget
from tickets.rules.model import Form
from tickets.rules.runs import Outcome

MANAGER = Actor(ActorKind.PERSON, None, "Mia", "manager")
LOOPBACK = targets.networks("127.0.0.0/8")
OUTSIDE = "93.184.216.34"


class Receiver:
    """Answers with the next status of a list; keeps what came."""

    def __init__(self, *answers: int) -> None:
        self.answers, self.heard = list(answers), list[tuple[dict[str, str], str]]()
        self.url = ""


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    receiver = Receiver(*answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            receiver.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = receiver.answers.pop(0) if receiver.answers else 200
            self.send_response(status)
            if status == 302:
                self.send_header("location", receiver.url)
            self.end_headers()
            self.wfile.write(b"said")

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/in?x=1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def told(database: Database, site: int, url: str) -> str:
    """An incident opens and a rule tells it; returns the secret."""
    with only(on_event=engine.on_event), database.tx(site_id=site) as conn:
        world = build(conn)
        _, secret = outbox.add(conn, code="erp", url=url, now=NOW)
        definition = {"when": {"on": ["opened"]}, "then": [{"do": "webhook", "endpoint": "erp"}]}
        kept = rules.make(conn, MANAGER, code="tell", form=Form.RULE, definition=definition, now=NOW)
        rules.enable(conn, MANAGER, kept.rule_id, now=NOW)
        service.open(conn, world.planner, kind="request", title="Öl 油", now=NOW)
    return secret


def naming(*addresses: str) -> targets.Resolve:
    """A resolver that answers with these."""
    return lambda _host, _port: addresses


def attempt(database: Database, site: int, allowed: Any = LOOPBACK) -> outbox.Delivery:
    with database.tx(site_id=site) as conn:
        (endpoint,) = outbox.endpoints(conn)
        (waiting,) = outbox.deliveries(conn, endpoint.endpoint_id)
        delivery.attempt(conn, waiting.delivery_id, allowed=allowed, now=NOW)
        return outbox.deliveries(conn, endpoint.endpoint_id)[0]


def test_a_message_is_signed_and_kept_until_it_is_taken(database: Database, site: int) -> None:
    with receiving(500, 302, 200) as receiver:
        secret = told(database, site, receiver.url)
        first = attempt(database, site)
        assert (first.state, first.attempts, first.status_code, first.answer) == ("waiting", 1, 500, "said")
        assert first.next_at is not None
        second = attempt(database, site)  # a redirect is not followed
        assert (second.state, second.status_code, len(receiver.heard)) == (
            "waiting",
            302,
            2,
        )
        third = attempt(database, site)
        assert (third.state, third.attempts, third.status_code) == ("delivered", 3, 200)
        assert attempt(database, site).attempts == 3  # done is done
    assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1
    headers, body = receiver.heard[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["host"] == receiver.url.split("/")[2]
    message = json.loads(body)
    assert (message["type"], message["data"]["ticket"]["title"]) == ("ticket.opened", "Öl 油")
    assert message["data"]["rule"] == "tell"


def test_the_job_sends_it_and_gives_up_in_the_end(
    database: Database, site: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "PAUSES_S", (5,))
    with receiving(500, 503) as receiver:
        told(database, site, receiver.url)
        assert attempt(database, site).state == "waiting"
        last = attempt(database, site)
    assert (last.state, last.attempts, last.status_code) == ("failed", 2, 503)


def test_a_receiver_that_was_away_gets_it_once_by_the_jobs_that_come_later(
    database: Database, site: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens, then an error, then all is well: the pauses grow, each attempt is a job of its own."""
    monkeypatch.setattr(delivery, "TIMEOUT", delivery.httpx.Timeout(0.5))
    with receiving() as gone:
        pass
    told(database, site, gone.url)
    pauses = []
    with receiving(503, 200) as receiver, database.tx(site_id=site) as conn:
        for url in (gone.url, receiver.url, receiver.url):
            conn.execute("update webhook_endpoints set url = %s", (url,))
            (endpoint,) = outbox.endpoints(conn)
            (waiting,) = outbox.deliveries(conn, endpoint.endpoint_id)
            delivery.attempt(conn, waiting.delivery_id, allowed=LOOPBACK, now=NOW)
            (after,) = outbox.deliveries(conn, endpoint.endpoint_id)
            if after.next_at is not None:
                pauses.append((after.next_at - load(conn).now()).total_seconds())
        queued = conn.execute("select count(*) from pgqueuer where entrypoint = 'rules.webhook'").fetchone()
    assert (after.state, after.attempts, len(receiver.heard)) == ("delivered", 3, 2)
    assert [round(pause) for pause in pauses] == pytest.approx(delivery.PAUSES_S[:2], abs=2)
    assert queued == (3,)  # the first, and one a pause
    assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1


def test_a_receiver_that_is_gone_for_good_is_asked_once(database: Database, site: int) -> None:
    with receiving(delivery.GONE) as receiver:
        told(database, site, receiver.url)
        first = attempt(database, site)
        assert (first.state, first.attempts, first.next_at) == ("failed", 1, None)
        assert attempt(database, site).attempts == 1
    assert len(receiver.heard) == 1


def test_nothing_is_told_of_what_was_undone(database: Database, site: int) -> None:
    with only(on_event=engine.on_event), database.tx(site_id=site) as conn:
        world = build(conn)
        outbox.add(conn, code="erp", url="https://example.org/in", now=NOW)
        definition = {"when": {"on": ["opened"]}, "then": [
            {"do": "webhook", "endpoint": "erp"}, {"do": "webhook", "endpoint": "missing"},
        ]}  # fmt: skip
        kept = rules.make(conn, MANAGER, code="tell", form=Form.RULE, definition=definition, now=NOW)
        rules.enable(conn, MANAGER, kept.rule_id, now=NOW)
        service.open(conn, world.planner, kind="request", title="x", now=NOW)
        (run,) = runs.listed(conn, rule_id=kept.rule_id)
        assert (run.outcome, "missing" in run.sentence) == (Outcome.FAILED, True)
        assert conn.execute("select count(*) from webhook_deliveries").fetchone() == (0,)
        assert conn.execute("select count(*) from pgqueuer where entrypoint = 'rules.webhook'").fetchone() == (0,)


def test_an_address_inside_is_refused_and_said_so(database: Database, site: int) -> None:
    with receiving() as receiver:
        told(database, site, receiver.url)
        refused = attempt(database, site, allowed=())
    assert (refused.state, receiver.heard) == ("refused", [])
    assert "webhook_networks" in refused.answer


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "169.254.169.254", "0.0.0.0",  # noqa: S104
        "100.64.0.1", "224.0.0.1",
        "::1", "::", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "ff02::1",
    ],
)  # fmt: skip
def test_every_kind_of_inner_address_is_refused(address: str) -> None:
    with pytest.raises(BadTarget, match="inside"):
        targets.locate("https://inner.example/x", allowed=(), resolve=naming(address))
    with pytest.raises(BadTarget):  # one good address beside it does not help
        targets.locate("https://inner.example/x", allowed=(), resolve=naming(OUTSIDE, address))


def test_an_outer_address_is_called_at_the_address_that_was_checked() -> None:
    found = targets.locate("https://erp.example:8443/a?b=c", allowed=(), resolve=naming(OUTSIDE))
    assert (found.address, found.host, found.port, found.path) == (OUTSIDE, "erp.example", 8443, "/a?b=c")
    with pytest.raises(BadTarget, match="https"):
        targets.locate("http://erp.example/", allowed=(), resolve=naming(OUTSIDE))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "https://",
        "https://u:p@x/",
        "https://x:99999/",
        "//x",
        "https://x/\n",
        "javascript:1",
        "https://x/" + "y" * 2000,
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadTarget):
        targets.parse(url)


def test_a_secret_is_renewed_and_an_endpoint_switched_off(database: Database, site: int) -> None:
    with receiving(500) as receiver:
        secret = told(database, site, receiver.url)
        with database.tx(site_id=site) as conn:
            (endpoint,) = outbox.endpoints(conn)
            assert outbox.renew_secret(conn, endpoint.endpoint_id) != secret
            assert outbox.change(conn, endpoint.endpoint_id, url=None, status="off").status == "off"
            with pytest.raises(NotFound):
                outbox.renew_secret(conn, 999)
        assert attempt(database, site).state == "refused"
        with database.tx(site_id=site) as conn:
            assert delivery.forget(conn, NOW + timedelta(days=31)) == 1


def test_a_renewed_secret_and_the_old_one_sign_side_by_side_for_a_day(
    database: Database, site: int, superuser: Connection
) -> None:
    with receiving(200, 200, 200) as receiver:
        old = told(database, site, receiver.url)
        attempt(database, site)
        with database.tx(site_id=site) as conn:
            (endpoint,) = outbox.endpoints(conn)
            new = outbox.renew_secret(conn, endpoint.endpoint_id)
        again(database, site)
        superuser.execute("update webhook_endpoints set old_until = now() - interval '1 second'")
        again(database, site)
    found = [signers(heard, old=old, new=new) for heard in receiver.heard]
    assert found == [["old"], ["new", "old"], ["new"]]


def again(database: Database, site: int) -> outbox.Delivery:
    with database.tx(site_id=site) as conn:
        (endpoint,) = outbox.endpoints(conn)
        (settled,) = outbox.deliveries(conn, endpoint.endpoint_id)
        outbox.replay(conn, endpoint.endpoint_id, settled.delivery_id, now=NOW)
    return attempt(database, site)


def signers(heard: tuple[dict[str, str], str], **secrets: str) -> list[str]:
    """Whose signatures a message carries, in their order."""
    headers, body = heard
    names = {
        targets.signature(
            secret, message_id=headers["webhook-id"], timestamp=int(headers["webhook-timestamp"]), body=body
        ): name
        for name, secret in secrets.items()
    }
    return [names[each] for each in headers["webhook-signature"].split(" ")]


def test_a_settled_message_is_sent_again_by_hand_under_its_id(database: Database, site: int) -> None:
    with receiving(410, 200) as receiver:
        told(database, site, receiver.url)
        with database.tx(site_id=site) as conn:
            (endpoint,) = outbox.endpoints(conn)
            (waiting,) = outbox.deliveries(conn, endpoint.endpoint_id)
            with pytest.raises(Conflict):
                outbox.replay(conn, endpoint.endpoint_id, waiting.delivery_id, now=NOW)
            with pytest.raises(NotFound):
                outbox.replay(conn, endpoint.endpoint_id + 1, waiting.delivery_id, now=NOW)
        assert attempt(database, site).state == "failed"
        done = again(database, site)
    assert (done.state, done.replays, done.attempts) == ("delivered", 1, 1)
    assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1
